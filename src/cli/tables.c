/* cli/tables.c -- commands and options as constant tables. */
#include "cli/cli_int.h"

#define OPT(cmds_, name_, chr_, value_, kind_, field_, help_)                                               \
	{(skf_cmdset)(cmds_),                                                                               \
	 name_,                                                                                             \
	 chr_,                                                                                              \
	 value_,                                                                                            \
	 SKF_OPT_##kind_,                                                                                   \
	 offsetof(struct skf_cli_opts, field_),                                                             \
	 help_},
#define NOOPT(cmds_, name_, chr_) {(skf_cmdset)(cmds_), name_, chr_, NULL, SKF_OPT_UNSUPPORTED, 0, NULL},
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
#include "cli/commands_container.def"
#include "cli/commands_image.def"
#include "cli/commands_network.def"
#include "cli/commands_volume.def"
#include "cli/commands_pod.def"
#include "cli/commands_secret.def"
#include "cli/commands_system.def"
};
const size_t skf_n_cmds = SKF_ARRAY_LEN(skf_cmds);
