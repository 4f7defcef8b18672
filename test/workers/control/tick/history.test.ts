import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Command, command } from "../../../../core/rollouts/command";
import { recordEdge } from "../../../../control/store/edges";
import { takeBack } from "../../../../control/store/emergency";
import { readHead } from "../../../../control/store/publication";
import { listRollbackHistory, listTaken } from "../../../../control/store/rollbackHistory";
import { commitChange } from "../../../../control/store/rolloutChanges";
import { tick } from "../../../../control/tick/tick";
import { MINUTE_MS, START_MS, aTick, current, db, outcomes, started } from "./fixtures";

/** Ways back that take time, or not everybody: each is one record of the history, from its begin on. */

const LIMITED = { guards: [], holdback: 50, phases: [{ percent: 50, hold: "1h", criteria: ["error_rate < 3%"] }] };
const FAILING: Parameters<typeof outcomes>[1] = { candidate: [50, 25], control: [50, 0] };
const GRADUAL = { ...LIMITED, rollback: { strategy: "gradual" as const, stages: [25, 0], every: "10m" } };

let minute = 0;
let realMs = Date.now();
beforeEach(async () => {
	vi.spyOn(console, "warn").mockImplementation(() => {});
	await env.DB.batch(["rollbacks", "edges", "active_flags"].map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
	await env.DB.prepare("UPDATE rollouts SET status = 'draft', state = '{\"status\":\"draft\"}'").run();
	minute = 0;
	await env.DB.prepare("UPDATE head SET last_tick_ms = 0").run();
});

async function ticks(count: number, change: Parameters<typeof aTick>[0] = {}): Promise<void> {
	for (let i = 0; i < count; i++) {
		realMs += MINUTE_MS;
		// oxlint-disable-next-line no-await-in-loop -- minute after minute
		await tick({ ...aTick(change), realNow: () => realMs }, START_MS + ++minute * MINUTE_MS);
	}
}

async function order(id: string, given: Pick<Command, "kind" | "wayBack" | "force" | "isAdmin">): Promise<void> {
	const row = await current(id);
	const atMs = START_MS + minute * MINUTE_MS;
	const change = command(row.plan, row.state, { by: "ann", reason: "slow", ...given }, atMs);
	if (!change.ok) throw new Error(change.error.kind);
	const act = { actor: "ann", reason: "slow", correlationId: "c", atMs };
	await commitChange(db, { row, change: change.value, act, realNow: realMs, evidence: null });
}

const history = () => listRollbackHistory(db, "production", undefined, 10);
const taken = () => listTaken(db, "production", 0, "tidegate", 10);
const heard = (revision: number): Promise<void> => recordEdge(db, { isolate: "one", colo: "ZRH", revision }, realMs);
const headNow = async (): Promise<number> => (await readHead(db)).head.revision;

describe("a gradual way back", () => {
	test("is one record: found at its begin, safe once the last stage is served, and counted once", async () => {
		const { id } = await started("down", GRADUAL);
		await ticks(2);
		await outcomes(await current(id), FAILING);
		await ticks(1);
		expect((await current(id)).status).toBe("rolling_back");
		const [begun] = await history();
		expect(begun).toMatchObject({
			rollout: id,
			strategy: "gradual",
			trigger: "limit_breached",
			detectMs: 3 * MINUTE_MS,
			headRevision: null,
			isFollowed: true,
		});
		await heard(await headNow());
		await ticks(1);
		expect(await history()).toMatchObject([{ edgeSafeAtMs: null, verifiedAtMs: null, failure: null }]);
		expect(await taken()).toMatchObject([{ hasEnded: false }]);
		await ticks(9);
		expect((await current(id)).status).toBe("rolled_back");
		const [ended, ...others] = await history();
		expect(others).toEqual([]);
		expect(ended).toMatchObject({ revision: begun?.revision, detectMs: 3 * MINUTE_MS, isFollowed: true });
		// Though it began long ago it has its time to be verified.
		await ticks(5);
		expect(await history()).toMatchObject([{ verifiedAtMs: null, failure: null }]);
		await heard(ended?.headRevision ?? 0);
		await ticks(1);
		expect(await history()).toMatchObject([{ edgeSafeAtMs: realMs - MINUTE_MS, verifiedAtMs: realMs, failure: null, isFollowed: false }]);
		expect(await taken()).toMatchObject([{ strategy: "gradual", isAutomatic: true, hasEnded: true }]);
	});

	test("that is cut short by an emergency is one record still, and ends with it", async () => {
		const { id } = await started("cut", GRADUAL);
		await order(id, { kind: "roll_back", wayBack: { strategy: "gradual" } });
		const act = { actor: "ops", reason: "down", correlationId: "c", atMs: START_MS };
		const back = await takeBack(db, { environment: "production", of: { kind: "all" }, kill: false }, act, realMs);
		expect(back?.rolledBack).toEqual([id]);
		expect(await history()).toMatchObject([{ strategy: "gradual", trigger: "operator", actor: "ann", headRevision: back?.headRevision }]);
		await heard(back?.headRevision ?? 0);
		await ticks(1);
		expect(await history()).toMatchObject([{ verifiedAtMs: realMs }]);
	});

	test("that a full one cuts short ends with it, and the others go back as they do by any full one", async () => {
		const [{ id }, other] = [await started("cut-whole", GRADUAL), await started("beside-cut")];
		await order(id, { kind: "roll_back", wayBack: { strategy: "gradual" } });
		await order(id, { kind: "roll_back", wayBack: { strategy: "full" } });
		await ticks(1);
		expect((await current(other.id)).status).toBe("rolled_back");
		const found = await history();
		expect(found.filter((each) => each.rollout === id).map(({ strategy }) => strategy)).toEqual(["full", "gradual"]);
		expect(found.filter(({ headRevision }) => headRevision === null)).toEqual([]);
	});

	test("that a person resumes is told as given up, and the next one is another", async () => {
		const phases = [20, 100].map((percent) => ({ percent, hold: "1h" }));
		const { id } = await started("given-up", { ...GRADUAL, phases });
		await order(id, { kind: "advance", force: true, isAdmin: true });
		await order(id, { kind: "roll_back", wayBack: { strategy: "gradual" } });
		await order(id, { kind: "resume" });
		expect(await history()).toMatchObject([{ verifiedAtMs: null, failure: "resumed before everybody was back", isFollowed: false }]);
		await order(id, { kind: "roll_back", wayBack: { strategy: "immediate" } });
		expect(await history()).toMatchObject([{ strategy: "immediate" }, { strategy: "gradual" }]);
	});
});

describe("a targeted way back", () => {
	test("is not held up where a segment that its plan names is gone all the same", async () => {
		const { id } = await started("gone", { ...LIMITED, rollback: { strategy: "targeted", segments: ["gone"] } });
		await outcomes(await current(id), FAILING);
		await ticks(2);
		expect((await current(id)).state).toMatchObject({ status: "running", excluded: { segments: ["gone"] } });
		expect(await history()).toMatchObject([{ strategy: "targeted", trigger: "limit_breached" }]);
	});

	test("is recorded, and safe once the edge has heard of the body that leaves those users out", async () => {
		const { id } = await started("some-users", { ...LIMITED, rollback: { strategy: "targeted", keys: ["ann"] } });
		await outcomes(await current(id), FAILING);
		const kv = new Proxy(env.SNAPSHOTS, {
			get: (target, name) =>
				name === "put" ? () => Promise.reject(new Error("down")) : (Reflect.get(target, name).bind(target) as unknown),
		});
		await ticks(2, { kv });
		expect((await current(id)).status).toBe("running");
		expect(await history()).toMatchObject([{ strategy: "targeted", trigger: "limit_breached", detectMs: MINUTE_MS, headRevision: null }]);
		// Heads come and go, and none of them has the body yet.
		await heard(await headNow());
		expect(await history()).toMatchObject([{ edgeSafeAtMs: null, isFollowed: true }]);
		await ticks(1);
		const [announced] = await history();
		expect(announced?.headRevision).toBeLessThanOrEqual(await headNow());
		await heard(await headNow());
		await ticks(1);
		expect(await history()).toMatchObject([{ verifiedAtMs: realMs, failure: null, isFollowed: false }]);
		expect(await taken()).toMatchObject([{ strategy: "targeted", isAutomatic: true, hasEnded: true }]);
	});

	test("whose body cannot be published is paged after 15 minutes", async () => {
		const { id } = await started("unpublished", LIMITED);
		await order(id, { kind: "roll_back", wayBack: { strategy: "targeted", keys: ["ann"] } });
		realMs += 15 * MINUTE_MS;
		await heard(await headNow());
		const kv = new Proxy(env.SNAPSHOTS, {
			get: (target, name) =>
				name === "put" ? () => Promise.reject(new Error("down")) : (Reflect.get(target, name).bind(target) as unknown),
		});
		await ticks(1, { kv });
		expect(await history()).toMatchObject([{ headRevision: null, failure: "1 of 1 isolates of the edge have not heard of it" }]);
	});
});
