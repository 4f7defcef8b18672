import { createRoute, z } from "@hono/zod-openapi";
import { checkName } from "../../core/checks/model";
import { summaryOf } from "../../core/checks/result";
import { flagKey } from "../../core/flags/model";
import { checksNow } from "../../core/rollouts/planChecks";
import { isLive } from "../../core/rollouts/state";
import type { Database } from "../store/database";
import { type RolloutStage, confirmCheck } from "../store/checkResults";
import { damagedOr } from "../store/json";
import { type StoredRollout, getRollout } from "../store/rollouts";
import { checksOf } from "../tick/check";
import { checkSummary } from "./checks";
import { actOf, body, json, reason, refusals, resource } from "./context";
import { refuse } from "./refusals";

const shown = z.object({ rollout: z.string(), stage: z.int().describe("0 before it is live"), ...checkSummary.shape });

export const rolloutChecks = resource();

rolloutChecks.openapi(
	createRoute({
		method: "get",
		path: "/{id}/checks",
		summary: "What the checks of a rollout's current stage have found",
		request: { params: z.object({ id: flagKey }) },
		responses: { 200: { description: "the results", ...json(shown) }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		return c.json(await shownOf(db, await rowOf(db, c.req.valid("param").id)), 200);
	},
);

rolloutChecks.openapi(
	createRoute({
		method: "post",
		path: "/{id}/checks/{name}/confirm",
		summary: "Confirm what a check has a person confirm; it counts for the current stage",
		request: { params: z.object({ id: flagKey, name: checkName }), ...body(z.strictObject({ reason })) },
		responses: { 200: { description: "confirmed", ...json(shown) }, ...refusals(400, 401, 404, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { id, name } = c.req.valid("param");
		const row = await rowOf(db, id);
		const now = checksNow(row.plan, row.state);
		const found = (await checksOf(db, row)).find((each) => each.name === name);
		if (!now || !found) refuse({ kind: "not_found", what: `check ${name} in the current stage of rollout ${id}` });
		// What was sent twice is done.
		const isConfirmed = found.status === "passed" && found.attempts === 0;
		const isManual = now.checks.some((each) => each.name === name && "manual" in each);
		if (!isConfirmed && !(isManual && found.status === "pending"))
			refuse({ kind: "nothing_to_confirm", check: name, status: found.status, isManual });
		const at = { rollout: id, stage: now.stage, sinceMs: now.sinceMs };
		if (!isConfirmed && !(await confirmCheck(db, at, found, actOf(c, c.req.valid("json").reason)))) refuse({ kind: "changed_meanwhile" });
		return c.json(await shownOf(db, row), 200);
	},
);

async function rowOf(db: Database, id: string): Promise<StoredRollout> {
	const row = await getRollout(db, id).catch(damagedOr("damaged" as const));
	if (row === "damaged") refuse({ kind: "rollout_damaged", id });
	return row ?? refuse({ kind: "not_found", what: `rollout ${id}` });
}

const stageOf = ({ id, state }: StoredRollout): RolloutStage => ({ rollout: id, stage: isLive(state) ? state.stage : 0 });

async function shownOf(db: Database, row: StoredRollout): Promise<z.infer<typeof shown>> {
	const results = await checksOf(db, row);
	// They are made side by side.
	const longestMs = Math.max(0, ...results.map(({ durationMs }) => durationMs));
	return { ...stageOf(row), ...summaryOf(results, longestMs) };
}
