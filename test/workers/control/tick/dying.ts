import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { embedded } from "../../../../control/metrics/embedded";
import { type Tick, tick } from "../../../../control/tick/tick";
import { OK, receivers } from "../notify/fixtures";
import { type Breakable, type Mode, breakable } from "./breakable";
import { MINUTE_MS, START_MS, aTick, db } from "./fixtures";
import { differences, saved, story } from "./story";

/**
 * A tick that dies anywhere: whatever it asks of D1, KV or others fails before or after, or everything from then on. The next tick
 * ends where the two would have ended without.
 */

export const NOW_MS = START_MS + MINUTE_MS;
/** Leases are over by the next tick. */
const BETWEEN_MS = 2 * MINUTE_MS;

export interface Scenario {
	/** What it returns comes between the first tick and the next. */
	readonly arrange: () => Promise<(() => Promise<unknown>) | void>;
	/** After the one that dies. */
	readonly ticks?: number;
	/** Kinds of events that come of it, by name. */
	readonly kinds: readonly string[];
}

let realMs = Date.now();

const answers = async (): Promise<Response> => new Response("{}");

function given(broken?: Breakable): Tick {
	const realNow = (): number => realMs;
	const [notifier, steps] = [receivers(() => OK), { call: async () => OK }];
	const made = { ...aTick({ notifier, steps }), realNow };
	vi.stubGlobal("fetch", broken ? broken.around({ fetch: answers }).fetch : answers);
	if (!broken) return { ...made, checks: { ...made.checks, realNow } };
	const metrics = embedded(broken.db.$client);
	const checks = { ...made.checks, db: broken.db, metrics, realNow };
	return { ...made, db: broken.db, kv: broken.kv, metrics, checks, notifier: broken.around(notifier), steps: broken.around(steps) };
}

async function ticked(atMs: number, broken?: Breakable): Promise<void> {
	await tick(given(broken), atMs).catch(() => {});
	realMs += BETWEEN_MS;
}

const WAYS: readonly (readonly [what: string, mode: Mode, stepMs: number, as: "exact" | "outline"])[] = [
	["that never arrives", "before", MINUTE_MS, "outline"],
	["whose answer is lost", "after", MINUTE_MS, "outline"],
	["that is the last", "dead", MINUTE_MS, "outline"],
	["that is the last, and the same tick comes again", "dead", 0, "exact"],
];

export function dyingIn(scenarios: Readonly<Record<string, Scenario>>): void {
	let empty: () => Promise<void>;
	beforeAll(async () => {
		empty = await saved("empty", true);
	});
	beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
	afterEach(() => vi.restoreAllMocks());
	afterAll(() => vi.unstubAllGlobals());

	describe.each(Object.entries(scenarios))("%s: with any one call", (_, { arrange, kinds, ticks = 1 }) => {
		let restored: () => Promise<void>;
		let between: (() => Promise<unknown>) | void;
		beforeAll(async () => {
			await empty();
			between = await arrange();
			restored = await saved("arranged", between !== undefined);
		});

		test.each(WAYS)("%s the next tick ends where it would have", { timeout: 60_000 }, async (__, mode, stepMs, as) => {
			/** Returns how many calls the first tick made. */
			const run = async (broken: Breakable): Promise<number> => {
				await restored();
				await ticked(NOW_MS, broken);
				const calls = broken.calls();
				if (stepMs > 0) await between?.();
				// oxlint-disable-next-line no-await-in-loop -- minute after minute
				for (let i = 1; i <= ticks; i++) await ticked(NOW_MS + i * stepMs);
				return calls;
			};
			const calls = await run(breakable(Infinity, mode));
			const wanted = await story(as);
			expect(await kindsOfTicks()).toEqual(kinds);
			for (let at = 1; at <= calls; at++) {
				const broken = breakable(at, mode);
				// oxlint-disable-next-line no-await-in-loop -- one after another is what a database is
				await run(broken);
				// oxlint-disable-next-line no-await-in-loop -- see above
				expect(differences(wanted, await story(as)), `call ${at}: ${broken.broken()}`).toEqual([]);
			}
		});
	});
}

async function kindsOfTicks(): Promise<readonly string[]> {
	const { results } = await db.$client
		.prepare("SELECT DISTINCT kind FROM rollout_events WHERE actor = 'tidegate' ORDER BY kind")
		.all<{ kind: string }>();
	return results.map(({ kind }) => kind);
}
