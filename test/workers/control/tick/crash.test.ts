import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { storedChecks } from "../../../../core/checks/model";
import { command } from "../../../../core/rollouts/command";
import { embedded } from "../../../../control/metrics/embedded";
import { commitChange } from "../../../../control/store/rolloutChanges";
import { type Tick, tick } from "../../../../control/tick/tick";
import { OK, aWebhook, receivers } from "../notify/fixtures";
import { type Breakable, type Mode, breakable } from "./breakable";
import { HARMFUL, MINUTE_MS, START_MS, aTick, db, outcomes, started } from "./fixtures";
import { differences, saved, story } from "./story";

/**
 * A tick that dies anywhere: whatever it asks of D1, KV or others fails before or after, or everything from then on. The next tick
 * ends where the two would have ended without.
 */

const NOW_MS = START_MS + MINUTE_MS;
/** Leases are over by the next tick. */
const BETWEEN_MS = 2 * MINUTE_MS;

let realMs = Date.now();
beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
afterEach(() => vi.restoreAllMocks());

const isUp = async (): Promise<Response> => new Response("{}");
vi.stubGlobal("fetch", isUp);

function given(broken?: Breakable): Tick {
	const notifier = receivers(() => OK);
	const steps = { call: async () => OK };
	const made = { ...aTick({ notifier, steps }), realNow: () => realMs };
	vi.stubGlobal("fetch", isUp);
	if (!broken) return { ...made, checks: { ...made.checks, realNow: () => realMs } };
	const metrics = embedded(broken.db.$client);
	vi.stubGlobal("fetch", broken.around({ fetch: isUp }).fetch);
	return {
		...made,
		db: broken.db,
		kv: broken.kv,
		metrics,
		notifier: broken.around(notifier),
		steps: broken.around(steps),
		checks: { ...made.checks, db: broken.db, metrics, realNow: () => realMs },
	};
}

async function ticked(atMs: number, broken?: Breakable): Promise<void> {
	await tick(given(broken), atMs).catch(() => {});
	realMs += BETWEEN_MS;
}

interface Scenario {
	/** What it returns comes between the first tick and the next. */
	readonly arrange: () => Promise<(() => Promise<unknown>) | void>;
	/** What a tick finds is decided by by the one after it. */
	readonly ticks?: number;
	/** Kinds of events that come of it. */
	readonly kinds: readonly string[];
}

const HALF = { percent: 50, hold: "1m", min_users: 20 };
const TO_ALL = { percent: 100, hold: "1h" };
/** Of a limit; at half of the users, and nobody to compare with. */
const LIMITED = { guards: [], holdback: 50, phases: [{ percent: 50, hold: "1h", criteria: ["error_rate < 3%"] }] };
const FEW: typeof HARMFUL = { candidate: [25, 0], control: [25, 0] };
const FAILING: typeof HARMFUL = { candidate: [50, 25], control: [50, 0] };

const SCENARIOS: Readonly<Record<string, Scenario>> = {
	onwards: {
		arrange: async () => {
			const rows = [
				await started("advances", { phases: [HALF, TO_ALL] }),
				await started("completes", { phases: [HALF], flags: ["completes", "completes-too"], target_percent: 50 }),
				await started("asks", { phases: [HALF, { ...TO_ALL, approval: "manual" }] }),
			];
			const come = (who: string) => Promise.all(rows.map((row) => outcomes(row, FEW, who)));
			await come("first");
			await started("holds");
			await started("begins", {}, { startsAtMs: NOW_MS });
			return () => come("second");
		},
		kinds: ["advance", "complete", "await_approval", "start"],
	},
	"the ways back": {
		arrange: async () => {
			await outcomes(await started("harmed"), HARMFUL);
			await outcomes(await started("gradual", { ...LIMITED, rollback: { strategy: "gradual", stages: [25, 0] } }), FAILING);
			await outcomes(await started("targeted", { ...LIMITED, rollback: { strategy: "targeted", keys: ["ann"] } }), FAILING);
			await outcomes(await started("earlier", { ...LIMITED, rollback: { strategy: "version" } }), FAILING);
			await outcomes(await started("some", someFlags("some")), DOUBLED, "u", "error@some");
			await lowering("lowers");
		},
		kinds: ["roll_back", "begin_rollback", "exclude", "lower", "drop_flags"],
	},
	"all of an environment back": {
		arrange: async () => {
			await outcomes(await started("whole", { ...LIMITED, rollback: { strategy: "full" } }), FAILING);
			await started("another");
			await started("waits", {}, { startsAtMs: NOW_MS + 60 * MINUTE_MS });
		},
		kinds: ["roll_back", "cancel"],
	},
	"checks, then the start": {
		arrange: async () => {
			const http = "https://origin.example/health";
			await started("checked", { checks: storedChecks.parse([{ name: "smoke", http }, { name: "owned", hygiene: true }]) });
			await started("checks-too", { checks: storedChecks.parse([{ name: "smoke", http }]) });
		},
		ticks: 2,
		kinds: ["start"],
	},
	"what follows a rollback, and who is told": {
		arrange: async () => {
			const steps = ["purge", "restart"].map((name) => ({ name, http: "https://origin.example/" }));
			await outcomes(await started("followed", { rollback: { steps } }), HARMFUL);
			await aWebhook("shop", { events: ["rollout.*"] });
			await aWebhook("log");
		},
		ticks: 3,
		kinds: ["roll_back"],
	},
};

/** Twice the harm: proven, and no failure that is rolled back whole. */
const DOUBLED: typeof HARMFUL = { candidate: [200, 120], control: [200, 50] };
const someFlags = (name: string): Parameters<typeof started>[1] => ({
	flags: [name, `${name}-too`],
	guards: [{ guard: "error_rate vs control <= +25%", flag: name }],
	holdback: 50,
	phases: [HALF, TO_ALL],
	rollback: { strategy: "feature" },
});

/** On its way back, and a stage lower now. */
async function lowering(name: string): Promise<void> {
	const atMs = START_MS - MINUTE_MS;
	const row = await started(name, { phases: [{ percent: 100, hold: "1h" }], rollback: { strategy: "gradual", every: "2m" } });
	const change = command(row.plan, row.state, { kind: "roll_back", by: "ann", reason: "slow", wayBack: { strategy: "gradual" } }, atMs);
	if (!change.ok) throw new Error(change.error.kind);
	const act = { actor: "ann", reason: "slow", correlationId: "c", atMs };
	await commitChange(db, { row, change: change.value, act, realNow: realMs, evidence: null });
}

let empty: () => Promise<void>;
beforeAll(async () => {
	empty = await saved("empty");
});

describe.each(Object.entries(SCENARIOS))("%s", (name, { arrange, kinds, ticks = 1 }) => {
	let restored: () => Promise<void>;
	/** Of the ticks after the first: the same minute's again, or the next ones. */
	let between: (() => Promise<unknown>) | void;
	const afterwards = async (stepMs: number) => {
		if (stepMs > 0) await between?.();
		for (let i = 1; i <= ticks; i++) await ticked(NOW_MS + i * stepMs);
	};
	beforeAll(async () => {
		await empty();
		between = await arrange();
		restored = await saved("arranged");
	});

	test.each<[what: string, mode: Mode, stepMs: number, as: "exact" | "outline"]>([
		["that never arrives", "before", MINUTE_MS, "outline"],
		["whose answer is lost", "after", MINUTE_MS, "outline"],
		["that is the last", "dead", MINUTE_MS, "outline"],
		["that is the last, and the same tick comes again", "dead", 0, "exact"],
	])("a call %s", { timeout: 60_000 }, async (_, mode, stepMs, as) => {
		const t0 = performance.now();
		await restored();
		await ticked(NOW_MS);
		await afterwards(stepMs);
		const wanted = await story(as);
		if (mode === "before") console.log(name, (wanted["events"] as any[]).map((e) => e.rollout+" "+e.kind).join(), kinds);
		const found = new Map<string, string>();
		for (let at = 1; ; at++) {
			await restored();
			const broken = breakable(at, mode);
			await ticked(NOW_MS, broken);
			if (broken.calls() < at) { console.log("calls", at - 1, performance.now() - t0); break; }
			await afterwards(stepMs);
			const d = differences(wanted, await story(as));
			if (d.length) { const k=d.map((e)=>"\n     "+e.slice(0,200)).slice(0,7).join(""); found.set(k, (found.get(k)??"")+` call ${at}: ${broken.broken().slice(0,80)}`);}
		}
		console.log([...found].map(([k,v])=>v+k).join("\n"));
		expect(found.size).toBe(0);
	});
});
