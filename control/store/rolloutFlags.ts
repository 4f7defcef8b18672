import { diff } from "../../core/flags/diff";
import type { Flag } from "../../core/flags/model";
import { completedFlag } from "../../core/rollouts/completion";
import type { Change } from "../../core/rollouts/decision";
import { flagsIn } from "../../core/rollouts/exposure";
import { restoredFlag } from "../../core/rollouts/restoredFlag";
import { isLive } from "../../core/rollouts/state";
import { log, nameOf } from "../log";
import type { Database } from "./database";
import { type StoredFlag, configOf, findFlags, getFlags } from "./flags";
import { checksIn, place, readWorld } from "./references";
import { type FlagVersion, getVersions } from "./versions";
import type { StoredRollout } from "./rollouts";

/** What a rollout's end makes of its flags. */
export interface FlagWrite {
	readonly flag: StoredFlag;
	readonly config: Flag;
	readonly action: "flag.rolled_out" | "flag.restored";
}

/** A change with what it makes of flags. */
interface Written {
	readonly change: Change;
	readonly writes: readonly FlagWrite[];
}

/** Of most changes nothing. A flag that cannot get its version back stays as it is, and keeps nobody from going back: the message tells. */
export async function flagWrites(db: Database, row: StoredRollout, change: Change): Promise<Written> {
	const { plan, state, environment } = row;
	if (!isLive(state)) return { change, writes: [] };
	if (change.kind === "complete") {
		const found = await getFlags(db, environment, flagsIn(plan, state));
		const completed = (flag: StoredFlag): Flag => completedFlag(configOf(flag), row.id, plan, state);
		return { change, writes: found.map((flag) => ({ flag, config: completed(flag), action: "flag.rolled_out" })) };
	}
	if (!change.restore) return { change, writes: [] };
	try {
		const { writes, left } = await restored(db, environment, change.restore);
		return { change: { ...change, message: [change.message, ...left].join("; ") }, writes };
	} catch (error) {
		log("versions_not_restored", { rollout: row.id, error: nameOf(error) });
		return {
			change: { ...change, message: `${change.message}; its flags stay as they are: their versions were not found out` },
			writes: [],
		};
	}
}

/** `left`: why the others stay as they are. */
async function restored(
	db: Database,
	environment: string,
	wanted: Readonly<Record<string, number>>,
): Promise<{ readonly writes: readonly FlagWrite[]; readonly left: readonly string[] }> {
	const [found, versions] = await Promise.all([findFlags(db, environment, Object.keys(wanted)), getVersions(db, environment, wanted)]);
	const left: string[] = [];
	const candidates: FlagWrite[] = [];
	for (const [key, number] of Object.entries(wanted)) {
		const [flag, version] = [found.get(key), versions.get(key)];
		const why = flag && flag !== "damaged" ? whyNot(number, version) : "it cannot be read";
		if (why !== undefined) left.push(`${key} stays as it is: ${why}`);
		else if (flag && flag !== "damaged" && version?.flag)
			candidates.push({ flag, config: restoredFlag(configOf(flag), version.flag), action: "flag.restored" });
	}
	const differing = candidates.filter(({ flag, config }) => diff(configOf(flag), config).length > 0);
	// Most name nothing, and a tick has only so many questions.
	if (!differing.some(namesOthers)) return { writes: differing, left };
	const world = await readWorld(db, environment);
	for (const { config } of differing) place(world, config);
	const checks = checksIn(world);
	const writes = differing.filter(({ flag, config }) => {
		const [error] = [...checks.flagErrors(config), ...checks.variantErrors(config, configOf(flag))];
		// What it names has gone since: it would be served to nobody.
		if (error) left.push(`${flag.key} stays as it is: version ${wanted[flag.key]}: ${error.message}`);
		return !error;
	});
	return { writes, left };
}

/** Segments or flags, or others may name what it no longer has. */
const namesOthers = ({ flag, config: { rules, prerequisites, variants } }: FlagWrite): boolean =>
	rules.length + prerequisites.length > 0 || Object.keys(flag.variants).some((variant) => !Object.hasOwn(variants, variant));

/** Why a version cannot be restored; undefined: it can. */
export function whyNot(number: number, version: FlagVersion | undefined): string | undefined {
	if (!version) return `there is no version ${number} of it`;
	if (version.state === "kept") return undefined;
	return version.state === "deleted" ? `it was deleted in version ${number}` : `its version ${number} cannot be read`;
}
