import { eq } from "drizzle-orm";
import { changeEvent } from "../../core/notify/events";
import { type Act, audited } from "./audit";
import { isConflict } from "./conflict";
import { type Database, commit } from "./database";
import { outbox, rolloutEvents, rollouts } from "./schema";

/** Ends a draft that nobody can read, and that serves nobody. False: somebody changed it first. */
export async function cancelDamagedDraft(
	db: Database,
	row: { readonly id: string; readonly environment: string; readonly revision: number },
	act: Act,
	realNow: number,
): Promise<boolean> {
	const { actor, reason: message, correlationId, atMs } = act;
	const [before, state] = [
		{ status: "draft", damaged: true },
		{ status: "cancelled" as const, atMs, by: actor, reason: message },
	];
	const [of, reason] = [{ rollout: row.id, revision: row.revision + 1 }, "operator"];
	const event = { ...of, atMs, recordedAtMs: realNow, kind: "cancel", reason, message, actor, correlationId };
	const payload = { ...of, environment: row.environment, reason, message, status: state.status };
	try {
		await commit(db, [
			db.insert(rolloutEvents).values({ ...event, before, after: state, evidence: null }),
			db.update(rollouts).set({ revision: of.revision, status: state.status, state }).where(eq(rollouts.id, row.id)),
			audited(db, act, `rollouts/${row.id}`, "rollout.cancel", before, state),
			db.insert(outbox).values({ atMs, type: changeEvent("cancel"), subject: row.id, payload }),
		]);
		return true;
	} catch (error) {
		if (isConflict(error, "rollout_events")) return false;
		throw error;
	}
}
