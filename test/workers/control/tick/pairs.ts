import { createExecutionContext, createScheduledController, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { storedChecks } from "../../../../core/checks/model";
import { command } from "../../../../core/rollouts/command";
import worker from "../../../../control/index";
import { readHead } from "../../../../control/store/publication";
import { commitChange } from "../../../../control/store/rolloutChanges";
import type { StoredRollout } from "../../../../control/store/rollouts";
import { tick } from "../../../../control/tick/tick";
import { OK, aWebhook, receivers } from "../notify/fixtures";
import { HARMFUL, MINUTE_MS, START_MS, aTick, db, outcomes, started } from "./fixtures";
import { saved } from "./story";

/** Two ticks at once, over rollouts of each of which something is due: everything is done once, by one of them. */

const NOW_MS = START_MS + MINUTE_MS;
const PAIRS = 250;
const FEW: typeof HARMFUL = { candidate: [12, 0], control: [12, 0] };
const FAILING: typeof HARMFUL = { candidate: [12, 12], control: [12, 0] };
const HALF = { percent: 50, hold: "1m", min_users: 10 };
const TO_ALL = { percent: 100, hold: "1h" };

/** What becomes of each by one tick. */
const DUE: Readonly<Record<string, string>> = {
	"advances.1": "advance",
	"completes.1": "complete",
	"asks.1": "await_approval",
	"begins.1": "start",
	"checked.1": "start",
	"harmed.1": "roll_back",
	"lowers.1": "lower",
};

beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
afterEach(() => vi.restoreAllMocks());

async function ordered(row: StoredRollout, atMs: number): Promise<void> {
	const change = command(row.plan, row.state, { kind: "roll_back", by: "ann", reason: "slow", wayBack: { strategy: "gradual" } }, atMs);
	if (!change.ok) throw new Error(change.error.kind);
	const act = { actor: "ann", reason: "slow", correlationId: "c", atMs };
	await commitChange(db, { row, change: change.value, act, realNow: Date.now(), evidence: null });
}

let restored: () => Promise<void>;
beforeAll(async () => {
	await outcomes(await started("advances", { phases: [HALF, TO_ALL] }), FEW);
	await outcomes(await started("completes", { phases: [HALF], flags: ["completes", "completes-too"], target_percent: 50 }), FEW);
	await outcomes(await started("asks", { phases: [HALF, { ...TO_ALL, approval: "manual" }] }), FEW);
	await started("begins", {}, { startsAtMs: NOW_MS });
	await started("checked", { checks: storedChecks.parse([{ name: "owned", hygiene: true }]) });
	await outcomes(await started("harmed", { phases: [HALF, TO_ALL], red_flags: ["error_rate > 50%"] }), FAILING);
	await ordered(await started("lowers", { phases: [TO_ALL], rollback: { strategy: "gradual", every: "2m" } }), START_MS - MINUTE_MS);
	await aWebhook("shop", { events: ["rollout.*"] });
	restored = await saved("arranged", false);
});

/** Everything that was written besides what was there, counted by rollout. */
async function written(): Promise<readonly Record<string, unknown>[]> {
	const { results } = await env.DB.prepare(
		`SELECT r.id, r.revision - s.revision AS decisions,
			(SELECT count(*) FROM rollout_events AS e WHERE e.rollout = r.id) AS events, r.revision,
			(SELECT group_concat(kind) FROM rollout_events AS e WHERE e.rollout = r.id AND e.revision > s.revision) AS kinds,
			(SELECT count(*) FROM audit WHERE resource = 'rollouts/' || r.id AND action <> 'rollout.created') AS audited,
			(SELECT count(*) FROM outbox WHERE subject = r.id AND type LIKE 'rollout.%') AS told,
			(SELECT count(*) FROM outbox WHERE subject = r.id AND type NOT LIKE 'rollout.%') AS alerts,
			(SELECT count(*) FROM webhook_deliveries WHERE subject = r.id AND status = 'delivered') AS delivered,
			coalesce((SELECT sum(value ->> 'candidate' + value ->> 'control') FROM json_each(r.state -> '$.watch.exposures')), 0) AS users,
			(SELECT count(*) FROM active_flags WHERE rollout = r.id) AS held
		FROM rollouts AS r JOIN saved_arranged_rollouts AS s USING (id) ORDER BY r.id`,
	).all();
	return results;
}

async function rest(): Promise<unknown> {
	const [versions, overlays, rollbacks, checks, pending] = await env.DB.batch<Record<string, unknown>>(
		[
			"SELECT key, max(version) AS version, count(*) AS versions, (SELECT version FROM flags WHERE flags.key = flag_versions.key) AS now FROM flag_versions GROUP BY key ORDER BY key",
			"SELECT kind, key FROM overlays ORDER BY key",
			"SELECT rollout, revision, strategy FROM rollbacks ORDER BY rollout, revision",
			"SELECT rollout, name, status FROM check_results ORDER BY rollout, name",
			"SELECT name, changed - version AS pending FROM environments ORDER BY name",
		].map((sql) => env.DB.prepare(sql)),
	);
	const { head } = await readHead(db);
	const version = head.environments["production"]?.version ?? 0;
	const body = (await env.SNAPSHOTS.get(`snapshot/production/${version}`)) ?? "";
	const lines = body.split("\n").slice(1);
	const inKv = JSON.parse((await env.SNAPSHOTS.get("head")) ?? "{}") as typeof head;
	return {
		tables: [versions, overlays, rollbacks, checks, pending].map((found) => found?.results),
		served: lines.map((line) => [line.split("\t")[0], line.split("\t")[2]]),
		isInKv: inKv.environments["production"]?.version === version,
	};
}

/** By the Worker's own entry, as cron calls it. */
async function scheduled(): Promise<void> {
	const context = createExecutionContext();
	await worker.scheduled(createScheduledController({ cron: "* * * * *", scheduledTime: new Date(NOW_MS) }), env);
	await waitOnExecutionContext(context);
}

describe.each([0, 1, 2, 3])("two at once, a quarter of a thousand times (%d)", (quarter) => {
	test("apply every decision once, and lose none", { timeout: 120_000 }, async () => {
		const once = (): Promise<void> => (quarter === 3 ? scheduled() : tick(aTick({ notifier: receivers(() => OK) }), NOW_MS));
		/** Cron's own calls would ask the network. */
		const arranged = async (): Promise<void> => {
			await restored();
			if (quarter === 3) await env.DB.prepare("DELETE FROM webhooks").run();
		};
		await arranged();
		await once();
		const [wanted, others] = [await written(), await rest()];
		expect(Object.fromEntries(wanted.filter(({ kinds }) => kinds !== null).map(({ id, kinds }) => [id, kinds]))).toEqual(DUE);
		for (const row of wanted)
			expect([row["events"], row["audited"], row["told"]]).toEqual([row["revision"], row["revision"], row["revision"]]);
		for (let pair = 0; pair < PAIRS; pair++) {
			// oxlint-disable no-await-in-loop -- one pair after another
			await arranged();
			await Promise.all([once(), once()]);
			expect(await written(), `pair ${pair}`).toEqual(wanted);
			expect(await rest(), `pair ${pair}`).toEqual(others);
			// oxlint-enable no-await-in-loop
		}
	});
});
