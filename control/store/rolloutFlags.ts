import { completedFlag } from "../../core/rollouts/completion";
import type { Change } from "../../core/rollouts/decision";
import { flagsIn } from "../../core/rollouts/exposure";
import { isLive } from "../../core/rollouts/state";
import type { Flag } from "../../core/flags/model";
import { log } from "../log";
import type { Database } from "./database";
import { type StoredFlag, configOf, getFlags } from "./flags";
import { getVersion } from "./versions";
import type { StoredRollout } from "./rollouts";

/** What a rollout's end makes of its flags. */
export interface FlagWrite {
	readonly flag: StoredFlag;
	readonly config: Flag;
	readonly action: "flag.rolled_out" | "flag.restored";
}

/** Of any other change nothing. What cannot be read is left as it is: it must not keep users from going back. */
export async function flagWrites(db: Database, row: StoredRollout, change: Change): Promise<FlagWrite[]> {
	const { plan, state, environment } = row;
	if (!isLive(state)) return [];
	if (change.kind === "complete") {
		const found = await getFlags(db, environment, flagsIn(plan, state));
		return found.map((flag) => ({ flag, config: completedFlag(configOf(flag), row.id, plan, state), action: "flag.rolled_out" }));
	}
	if (!change.restore) return [];
	const wanted = Object.entries(change.restore);
	try {
		const [found, versions] = await Promise.all([
			getFlags(
				db,
				environment,
				wanted.map(([key]) => key),
			),
			Promise.all(wanted.map(async ([key, version]) => ({ key, version: await getVersion(db, environment, key, version) }))),
		]);
		return found.flatMap((flag): FlagWrite[] => {
			const version = versions.find(({ key }) => key === flag.key)?.version;
			if (!version?.flag || JSON.stringify(version.flag) === JSON.stringify(configOf(flag))) return [];
			return [{ flag, config: version.flag, action: "flag.restored" }];
		});
	} catch (error) {
		log("versions_not_restored", { rollout: row.id, error: String(error) });
		return [];
	}
}
