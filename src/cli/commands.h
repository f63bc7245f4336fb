/* cli/commands.h -- the commands as a set: which ones have an option, and which one a line of the table is. One bit per command, in ranges by
 * area, so that an area grows without touching another: its commands and options stand in commands_AREA.def and options_AREA.def. */
#pragma once
#include <stdint.h>

__extension__ typedef unsigned __int128 skf_cmdset; /* more commands than 64 */
#define SKF_CMD_BIT(n) ((skf_cmdset)1 << (n))

#define C_GLOBAL     SKF_CMD_BIT(0)
#define C_ALL        (~(skf_cmdset)0)
/* container: 1 to 39 */
#define C_RUNONLY    SKF_CMD_BIT(1)
#define C_CREATE     SKF_CMD_BIT(13)
#define C_RUN        (C_RUNONLY | C_CREATE) /* what makes a container: options of one are options of the other */
#define C_PS         SKF_CMD_BIT(2)
#define C_LOGS       SKF_CMD_BIT(3)
#define C_EXEC       SKF_CMD_BIT(4)
#define C_STOP       SKF_CMD_BIT(5)
#define C_KILL       SKF_CMD_BIT(6)
#define C_RM         SKF_CMD_BIT(7)
#define C_INSPECT    SKF_CMD_BIT(8)
#define C_WAIT       SKF_CMD_BIT(9)
#define C_EXPORT     SKF_CMD_BIT(10)
#define C_COMMIT     SKF_CMD_BIT(11)
#define C_DIFF       SKF_CMD_BIT(12)
#define C_START      SKF_CMD_BIT(14)
#define C_RESTART    SKF_CMD_BIT(15)
#define C_ATTACH     SKF_CMD_BIT(16)
#define C_RENAME     SKF_CMD_BIT(17)
#define C_PAUSE      SKF_CMD_BIT(18)
#define C_UNPAUSE    SKF_CMD_BIT(19)
#define C_UPDATE     SKF_CMD_BIT(20)
#define C_TOP        SKF_CMD_BIT(21)
#define C_STATS      SKF_CMD_BIT(22)
#define C_EVENTS     SKF_CMD_BIT(23)
#define C_CP         SKF_CMD_BIT(24)
#define C_CTRPRUNE   SKF_CMD_BIT(25)
#define C_EXISTS     SKF_CMD_BIT(26)
#define C_HEALTHRUN  SKF_CMD_BIT(27)
/* verbs for several containers: --all, --latest, --filter choose */
#define C_MANY       (C_STOP | C_KILL | C_RM | C_RESTART | C_PAUSE | C_UNPAUSE)
/* image: 40 to 74 */
#define C_PULL       SKF_CMD_BIT(40)
#define C_IMAGES     SKF_CMD_BIT(41)
#define C_IMGINSPECT SKF_CMD_BIT(42)
#define C_RMI        SKF_CMD_BIT(43)
#define C_PUSH       SKF_CMD_BIT(44)
#define C_LOGIN      SKF_CMD_BIT(45)
#define C_LOGOUT     SKF_CMD_BIT(46)
#define C_IMGTAGS    SKF_CMD_BIT(47)
#define C_IMGDELETE  SKF_CMD_BIT(48)
#define C_REFERRERS  SKF_CMD_BIT(49)
#define C_SAVE       SKF_CMD_BIT(50)
#define C_LOAD       SKF_CMD_BIT(51)
#define C_IMPORT     SKF_CMD_BIT(52)
#define C_TAG        SKF_CMD_BIT(53)
#define C_UNTAG      SKF_CMD_BIT(54)
#define C_HISTORY    SKF_CMD_BIT(55)
#define C_IMGTREE    SKF_CMD_BIT(56)
#define C_IMGDIFF    SKF_CMD_BIT(57)
#define C_IMGPRUNE   SKF_CMD_BIT(58)
#define C_COPY       SKF_CMD_BIT(59)
#define C_MFCREATE   SKF_CMD_BIT(60)
#define C_MFADD      SKF_CMD_BIT(61)
#define C_MFANNOTATE SKF_CMD_BIT(62)
#define C_MFINSPECT  SKF_CMD_BIT(63)
#define C_MFPUSH     SKF_CMD_BIT(64)
#define C_MFPLAIN    SKF_CMD_BIT(65) /* rm, remove, exists: no options */
#define C_ARTADD     SKF_CMD_BIT(66)
#define C_ARTPUSH    SKF_CMD_BIT(67)
#define C_ARTPULL    SKF_CMD_BIT(68)
#define C_ARTPLAIN   SKF_CMD_BIT(69) /* ls, inspect, rm, extract */
#define C_ARTATTACH  SKF_CMD_BIT(70)
#define C_SEARCH     SKF_CMD_BIT(71)
#define C_SYNC       SKF_CMD_BIT(72)
#define C_REGISTRY   (C_PUSH | C_LOGIN | C_LOGOUT | C_IMGTAGS | C_IMGDELETE | C_REFERRERS | C_IMGINSPECT)
/* network: 75 to 86 */
/* volume: 87 to 95 */
/* pod: 96 to 111 */
/* system: 112 to 127 */
#define C_VERSION    SKF_CMD_BIT(112)
#define C_INFO       SKF_CMD_BIT(113)
#define C_CHECK      SKF_CMD_BIT(114)
#define C_REAP       SKF_CMD_BIT(115)
#define C_BOOT       SKF_CMD_BIT(120)
#define C_LIST       SKF_CMD_BIT(116)
#define C_DF         SKF_CMD_BIT(124)
#define C_SYSPRUNE   SKF_CMD_BIT(125)
