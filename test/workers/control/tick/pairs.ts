import { env } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { storedChecks } from "../../../../core/checks/model";
import { command } from "../../../../core/rollouts/command";
import { readHead } from "../../../../control/store/publication";
import { commitChange } from "../../../../control/store/rolloutChanges";
import type { StoredRollout } from "../../../../control/store/rollouts";
import { aWebhook } from "../notify/fixtures";
import { type HARMFUL, MINUTE_MS, START_MS, db, outcomes, started } from "./fixtures";
import { saved } from "./story";

/** Two ticks at once, over rollouts of each of which something is due: everything is done once, by one of them. */

export const NOW_MS = START_MS + MINUTE_MS;
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

async function ordered(row: StoredRollout, atMs: number): Promise<void> {
	const change = command(row.plan, row.state, { kind: "roll_back", by: "ann", reason: "slow", wayBack: { strategy: "gradual" } }, atMs);
	if (!change.ok) throw new Error(change.error.kind);
	const act = { actor: "ann", reason: "slow", correlationId: "c", atMs };
	await commitChange(db, { row, change: change.value, act, realNow: Date.now(), evidence: null });
}

async function arrange(): Promise<void> {
	await outcomes(await started("advances", { phases: [HALF, TO_ALL] }), FEW);
	await outcomes(await started("completes", { phases: [HALF], flags: ["completes", "completes-too"], target_percent: 50 }), FEW);
	await outcomes(await started("asks", { phases: [HALF, { ...TO_ALL, approval: "manual" }] }), FEW);
	await started("begins", {}, { startsAtMs: NOW_MS });
	await started("checked", { checks: storedChecks.parse([{ name: "owned", hygiene: true }]) });
	await outcomes(await started("harmed", { phases: [HALF, TO_ALL], red_flags: ["error_rate > 50%"] }), FAILING);
	await ordered(await started("lowers", { phases: [TO_ALL], rollback: { strategy: "gradual", every: "2m" } }), START_MS - MINUTE_MS);
	await aWebhook("shop", { events: ["rollout.rolled_back"] });
}

/** By rollout, what was written; then what else there is. */
const ASKED = [
	`SELECT r.id, r.revision, r.status, (SELECT count(*) FROM rollout_events AS e WHERE e.rollout = r.id) AS events,
		(SELECT group_concat(kind) FROM rollout_events AS e WHERE e.rollout = r.id AND e.revision > s.revision) AS kinds,
		(SELECT count(*) FROM audit WHERE resource = 'rollouts/' || r.id AND action <> 'rollout.created') AS audited,
		(SELECT count(*) FROM outbox WHERE subject = r.id AND type LIKE 'rollout.%') AS told,
		(SELECT count(*) FROM outbox WHERE subject = r.id AND type NOT LIKE 'rollout.%') AS alerts,
		(SELECT group_concat(status) FROM webhook_deliveries WHERE subject = r.id) AS deliveries,
		coalesce((SELECT sum(value ->> 'candidate' + value ->> 'control') FROM json_each(r.state -> '$.watch.exposures')), 0) AS users,
		(SELECT count(*) FROM active_flags WHERE rollout = r.id) AS held
	FROM rollouts AS r JOIN saved_arranged_rollouts AS s USING (id) ORDER BY r.id`,
	"SELECT key, version, (SELECT count(*) FROM flag_versions AS v WHERE v.key = flags.key) AS versions FROM flags ORDER BY key",
	"SELECT kind, key FROM overlays ORDER BY key",
	"SELECT rollout, revision, strategy FROM rollbacks ORDER BY rollout, revision",
	"SELECT rollout, name, status FROM check_results ORDER BY rollout, name",
	"SELECT name, changed - version AS pending FROM environments ORDER BY name",
];

interface Written {
	readonly rollouts: readonly Record<string, unknown>[];
	readonly rest: unknown;
}

async function written(): Promise<Written> {
	const [rollouts, ...others] = await env.DB.batch<Record<string, unknown>>(ASKED.map((sql) => env.DB.prepare(sql)));
	const { head } = await readHead(db);
	const version = head.environments["production"]?.version ?? 0;
	const body = (await env.SNAPSHOTS.get(`snapshot/production/${version}`)) ?? "";
	const inKv = JSON.parse((await env.SNAPSHOTS.get("head")) ?? "{}") as typeof head;
	const served = body
		.split("\n")
		.slice(1)
		.map((line) => [line.split("\t")[0], line.split("\t")[2]]);
	const isInKv = inKv.environments["production"]?.version === version;
	return { rollouts: rollouts?.results ?? [], rest: { tables: others.map(({ results }) => results), served, isInKv } };
}

/** A test's part of all: so few that it ends in time. */
const PARTS = 4;

/** Two at once, each from where the one before began. `prepare` comes before each. */
export function twoAtOnce(total: number, once: () => Promise<void>, prepare: () => Promise<unknown> = async () => {}): void {
	const pairs = Math.ceil(total / PARTS);
	let restored: () => Promise<void>;
	beforeAll(async () => {
		await arrange();
		restored = await saved("arranged", false);
	});
	beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
	afterEach(() => vi.restoreAllMocks());

	test.each(Array.from({ length: PARTS }, (_, i) => i + 1))(
		`two ticks at once, ${pairs} times, apply every decision once and lose none (%d of ${PARTS})`,
		{ timeout: 300_000 },
		async () => {
			const begun = async (): Promise<void> => {
				await restored();
				await prepare();
			};
			await begun();
			await once();
			const wanted = await written();
			expect(Object.fromEntries(wanted.rollouts.map(({ id, kinds }) => [id, kinds]))).toEqual(DUE);
			for (const { revision, events, audited, told } of wanted.rollouts)
				expect([events, audited, told]).toEqual([revision, revision, revision]);
			for (let pair = 0; pair < pairs; pair++) {
				// oxlint-disable no-await-in-loop -- one pair after another
				await begun();
				await Promise.all([once(), once()]);
				expect(await written(), `pair ${pair}`).toEqual(wanted);
				// oxlint-enable no-await-in-loop
			}
		},
	);
}
