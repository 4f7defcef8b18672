import { sql } from "drizzle-orm";
import type { ChangeReason } from "../../core/rollouts/decision";
import type { WayBackStrategy } from "../../core/rollouts/wayBack";
import type { Database, Statement } from "./database";
import { head, rollbacks } from "./schema";

/** Ways back that were taken: written with the change, followed by ticks until users are known to be safe. */

export interface TakenBack {
	readonly rollout: string;
	readonly revision: number;
	readonly environment: string;
	readonly strategy: WayBackStrategy;
	readonly trigger: ChangeReason;
	readonly actor: string;
	readonly atMs: number;
	readonly realNow: number;
	/** From the begin of the phase to the decision; null: not known. */
	readonly detectMs: number | null;
}

/** Comes after `headChanged` in its batch: an edge is safe once it has heard of that revision. */
export function recordedRollback(db: Database, { realNow, ...row }: TakenBack): Statement {
	const headRevision = sql<number>`(SELECT ${head.revision} FROM ${head})`;
	return db.insert(rollbacks).values({ ...row, recordedAtMs: realNow, headRevision, steps: [], dueAtMs: realNow });
}
