import type { Command } from "./command";
import { checksConfirm, checksOf, checksReport, checksRun } from "./commands/checks";
import { doctor } from "./commands/doctor";
import { breakerReset, breakerShow, environmentList, environmentSettings } from "./commands/environment";
import { emergencyRollback } from "./commands/emergencyRollback";
import { explain } from "./commands/explain";
import { flagsGet, flagsList, kill, unkill } from "./commands/flags";
import { login, logout } from "./commands/login";
import { apply, difference, validate } from "./commands/plan";
import { compare } from "./commands/compare";
import { protectIsolate, protectList, protectLockDown, protectOff, protectShed } from "./commands/protect";
import { routesPreview } from "./commands/preview";
import { routesDelete, routesGet, routesList, routesPut, routesValidate } from "./commands/routes";
import { rollbacks } from "./commands/rollbacks";
import { events, list, show } from "./commands/rollout";
import { told } from "./commands/rolloutCommands";
import { status } from "./commands/status";
import { exportFlags, importFlags } from "./commands/transfer";
import { token } from "./commands/token";
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
	checksOf,
	checksRun,
	checksReport,
	checksConfirm,
	emergencyRollback,
	environmentList,
	environmentSettings,
	breakerShow,
	breakerReset,
	rollbacks,
	routesList,
	routesGet,
	routesValidate,
	routesPut,
	routesDelete,
	routesPreview,
	protectShed,
	protectLockDown,
	protectIsolate,
	protectOff,
	protectList,
	compare,
	exportFlags,
	importFlags,
	...token,
];
