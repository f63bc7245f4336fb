/* cli/tables.c -- commands and options as constant tables. */
#include "cli/cli_int.h"

#define OPT(cmds_, name_, chr_, value_, kind_, field_, help_)                                               \
	{(uint64_t)(cmds_),                                                                                 \
	 name_,                                                                                             \
	 chr_,                                                                                              \
	 value_,                                                                                            \
	 SKF_OPT_##kind_,                                                                                   \
	 offsetof(struct skf_cli_opts, field_),                                                             \
	 help_},
#define NOOPT(cmds_, name_, chr_) {(uint64_t)(cmds_), name_, chr_, NULL, SKF_OPT_UNSUPPORTED, 0, NULL},
const struct skf_opt skf_opts[] = {
#include "cli/options.def"
};
const size_t skf_n_opts = SKF_ARRAY_LEN(skf_opts);

#define ANY       (~0u)
#define RUN_ARGS  "[OPTIONS] IMAGE [COMMAND] [ARG...]"
#define EXEC_ARGS "[OPTIONS] CONTAINER COMMAND [ARG...]"
#define CTRS      "[OPTIONS] CONTAINER [CONTAINER...]"
/* Container verbs stand in both forms: `skiff VERB` and `skiff container VERB`. */
#define BOTH(name, bit, args, about, min, max, stop, fn)                                                    \
	{NULL, name, bit, args, about, min, max, stop, false, fn},                                          \
	{                                                                                                   \
		"container", name, bit, args, about, min, max, stop, false, fn                              \
	}
/* Verbs of images, likewise. */
#define IMAGE(plain, name, bit, args, about, min, max, fn)                                                  \
	{NULL, plain, bit, args, about, min, max, false, false, fn},                                        \
	{                                                                                                   \
		"image", name, bit, args, about, min, max, false, false, fn                                 \
	}
const struct skf_cmd skf_cmds[] = {
	BOTH("run", C_RUN, RUN_ARGS, "Make a container of an image and run it", 1, ANY, true, skf_cmd_run),
	BOTH("exec", C_EXEC, EXEC_ARGS, "Run a command in a running container", 2, ANY, true, skf_cmd_exec),
	BOTH("ps", C_PS, "[OPTIONS]", "List containers", 0, 0, false, skf_cmd_ps),
	{"container", "ls", C_PS, "[OPTIONS]", "List containers", 0, 0, false, false, skf_cmd_ps},
	{"container", "list", C_PS, "[OPTIONS]", "List containers", 0, 0, false, true, skf_cmd_ps},
	BOTH("logs", C_LOGS, "[OPTIONS] CONTAINER", "Show the output of a container", 1, 1, false,
	     skf_cmd_logs),
	BOTH("stop", C_STOP, CTRS, "Stop containers", 1, ANY, false, skf_cmd_stop),
	BOTH("kill", C_KILL, CTRS, "Send a signal to containers", 1, ANY, false, skf_cmd_kill),
	BOTH("rm", C_RM, CTRS, "Remove containers", 1, ANY, false, skf_cmd_rm),
	BOTH("wait", C_WAIT, CTRS, "Wait for containers to end and print their exit codes", 1, ANY, false,
	     skf_cmd_wait),
	{NULL, "inspect", C_INSPECT, "[OPTIONS] NAME|ID [NAME|ID...]",
	 "Show all about containers or images as JSON", 1, ANY, false, false, skf_cmd_inspect},
	{"container", "inspect", C_INSPECT, "[OPTIONS] CONTAINER [CONTAINER...]",
	 "Show all about containers as JSON", 1, ANY, false, false, skf_cmd_inspect},
	{NULL, "pull", C_PULL, "[OPTIONS] NAME[:TAG|@DIGEST]", "Get an image from a registry", 1, 1, false,
	 false, skf_cmd_pull},
	{"image", "pull", C_PULL, "[OPTIONS] NAME[:TAG|@DIGEST]", "Get an image from a registry", 1, 1,
	 false, false, skf_cmd_pull},
	{NULL, "images", C_IMAGES, "[OPTIONS] [REPOSITORY[:TAG]]", "List images", 0, 1, false, false,
	 skf_cmd_images},
	{"image", "ls", C_IMAGES, "[OPTIONS] [REPOSITORY[:TAG]]", "List images", 0, 1, false, false,
	 skf_cmd_images},
	{"image", "list", C_IMAGES, "[OPTIONS] [REPOSITORY[:TAG]]", "List images", 0, 1, false, true,
	 skf_cmd_images},
	{NULL, "push", C_PUSH, "[OPTIONS] NAME[:TAG] [DESTINATION]", "Put an image into a registry", 1, 2,
	 false, false, skf_cmd_push},
	{"image", "push", C_PUSH, "[OPTIONS] NAME[:TAG] [DESTINATION]", "Put an image into a registry", 1, 2,
	 false, false, skf_cmd_push},
	{NULL, "login", C_LOGIN, "[OPTIONS] [SERVER]", "Log in to a registry", 0, 1, false, false,
	 skf_cmd_login},
	{NULL, "logout", C_LOGOUT, "[SERVER]", "Log out from a registry", 0, 1, false, false,
	 skf_cmd_logout},
	{"image", "inspect", C_IMGINSPECT, "[OPTIONS] IMAGE [IMAGE...]", "Show all about images as JSON", 1,
	 ANY, false, false, skf_cmd_image_remote},
	{"image", "tags", C_IMGTAGS, "[OPTIONS] NAME", "List the tags of a repository in its registry", 1, 1,
	 false, false, skf_cmd_image_tags},
	{"image", "referrers", C_REFERRERS, "[OPTIONS] NAME[:TAG|@DIGEST]",
	 "List what a registry has about an image: signatures, SBOMs, ...", 1, 1, false, false,
	 skf_cmd_image_referrers},
	{"image", "delete", C_IMGDELETE, "--remote [OPTIONS] NAME[:TAG|@DIGEST]",
	 "Delete an image from its registry", 1, 1, false, false, skf_cmd_image_delete},
	{NULL, "rmi", C_RMI, "[OPTIONS] IMAGE [IMAGE...]", "Remove images", 1, ANY, false, false,
	 skf_cmd_rmi},
	{"image", "rm", C_RMI, "[OPTIONS] IMAGE [IMAGE...]", "Remove images", 1, ANY, false, false,
	 skf_cmd_rmi},
	IMAGE("save", "save", C_SAVE, "[OPTIONS] IMAGE [IMAGE...]", "Write images to an archive", 1, ANY, skf_cmd_save),
	IMAGE("load", "load", C_LOAD, "[OPTIONS]", "Take in the images of an archive or OCI directory", 0, 0, skf_cmd_load),
	IMAGE("import", "import", C_IMPORT, "[OPTIONS] FILE|- [REPOSITORY[:TAG]]", "Make an image of a tar of a file system", 1, 2,
	      skf_cmd_import),
	BOTH("export", C_EXPORT, "[OPTIONS] CONTAINER", "Write the files of a container to a tar", 1, 1, false, skf_cmd_export),
	BOTH("commit", C_COMMIT, "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", "Make an image of a container", 1, 2, false, skf_cmd_commit),
	BOTH("diff", C_DIFF, "CONTAINER", "Show what a container changed of its image", 1, 1, false, skf_cmd_diff),
	IMAGE("tag", "tag", C_TAG, "IMAGE NAME[:TAG]", "Give an image one more name", 2, 2, skf_cmd_tag),
	IMAGE("untag", "untag", C_UNTAG, "IMAGE [NAME...]", "Take names from an image, and keep it", 1, ANY, skf_cmd_untag),
	IMAGE("history", "history", C_HISTORY, "[OPTIONS] IMAGE", "Show how an image came to be", 1, 1, skf_cmd_history),
	{"image", "tree", C_IMGTREE, "[OPTIONS] IMAGE", "Show the layers of an image", 1, 1, false, false, skf_cmd_image_tree},
	{"image", "diff", C_IMGDIFF, "IMAGE [IMAGE]", "Show what an image changes of another, or its last layer of the others", 1, 2, false,
	 false, skf_cmd_image_diff},
	{"image", "prune", C_IMGPRUNE, "[OPTIONS]", "Remove images that nobody needs", 0, 0, false, false, skf_cmd_image_prune},
	{NULL, "version", C_VERSION, "", "Show the version", 0, 0, false, false, skf_cmd_version},
	{NULL, "info", C_INFO, "", "Show what is here: containers, images, host", 0, 0, false, false,
	 skf_cmd_info},
	{"system", "info", C_INFO, "", "Show what is here: containers, images, host", 0, 0, false, false,
	 skf_cmd_info},
	{"system", "check", C_CHECK, "[OPTIONS]",
	 "Look for anything that does not belong there, and repair it", 0, 0, false, false, skf_cmd_check},
	{"system", "reap", C_REAP, "ID", "Undo what was made for a container that ended", 1, 1, false, true,
	 skf_cmd_reap},
	{NULL, "completion", C_LIST, "bash|zsh|fish", "Print the completion script of a shell", 1, 1, false, false,
	 skf_cmd_completion},
	{NULL, "__complete", C_LIST, "-- WORD...", "Print what may stand for the last word", 0, ANY, true, true,
	 skf_cmd_complete},
	{NULL, "__complete-list", C_LIST, "", "Print all commands and options", 0, 0, false, true,
	 skf_cmd_list},
};
const size_t skf_n_cmds = SKF_ARRAY_LEN(skf_cmds);
