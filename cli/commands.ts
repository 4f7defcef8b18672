import type { Command } from "./command";
import { doctor } from "./commands/doctor";
import { emergencyRollback } from "./commands/emergencyRollback";
import { explain } from "./commands/explain";
import { flagsGet, flagsList, kill, unkill } from "./commands/flags";
import { login, logout } from "./commands/login";
import { apply, difference, validate } from "./commands/plan";
import { rollbacks } from "./commands/rollbacks";
import { events, list, show, told } from "./commands/rollout";
import { status } from "./commands/status";
import { exportFlags, importFlags } from "./commands/transfer";
import { watch } from "./commands/watch";

/** In the order of help. */
export const commands: readonly Command[] = [
	login,
	logout,
	status,
	doctor,
	...flagsList,
	flagsGet,
	kill,
	unkill,
	explain,
	validate,
	difference,
	apply,
	list,
	show,
	watch,
	events,
	...told,
	emergencyRollback,
	rollbacks,
	exportFlags,
	importFlags,
];
