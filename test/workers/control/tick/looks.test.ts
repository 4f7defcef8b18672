import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import control from "../../../../control/index";
import { embedded } from "../../../../control/metrics/embedded";
import { latestCheck } from "../../../../control/store/rollouts";
import { type Clock, looks } from "../../../../control/tick/looks";
import { tick } from "../../../../control/tick/tick";
import { HARMFUL, HEALTHY, MINUTE_MS, START_MS, aTick, current, db, outcomes, started } from "./fixtures";

const HALF_MS = 30_000;
let minute = 0;
const nextMinute = () => START_MS + ++minute * MINUTE_MS;

/** Time that passes only while somebody waits, but for what each look takes. */
function aClock(tookMs = 1_000): Clock & { readonly waited: number[]; readonly look: (work?: () => Promise<void>) => Promise<void> } {
	let nowMs = 0;
	const waited: number[] = [];
	return {
		waited,
		realNow: () => nowMs,
		wait: async (ms) => {
			waited.push(ms);
			nowMs += ms;
		},
		look: async (work) => {
			nowMs += tookMs;
			await work?.();
		},
	};
}

test("one look is one tick, at its scheduled time", async () => {
	const [clock, seen] = [aClock(), [] as number[]];
	await looks(1, 7, async (now) => clock.look(async () => void seen.push(now)), clock);
	expect([seen, clock.waited]).toEqual([[7], []]);
});

test("the second look comes half a minute after the first began", async () => {
	const [clock, seen] = [aClock(4_000), [] as number[]];
	await looks(2, 7, async (now) => clock.look(async () => void seen.push(now)), clock);
	expect([seen, clock.waited]).toEqual([[7, 7 + HALF_MS], [26_000]]);
});

test.each([29_999, 30_000, 50_000])("after a first look of %d ms the second is left out where half a minute is over", async (tookMs) => {
	const [clock, seen] = [aClock(tookMs), [] as number[]];
	await looks(2, 0, async (now) => clock.look(async () => void seen.push(now)), clock);
	expect(seen).toHaveLength(tookMs < HALF_MS ? 2 : 1);
});

test.each<[failing: readonly number[], said: string]>([
	[[0], "look 0 failed"],
	[[HALF_MS], "look 30000 failed"],
	[[0, HALF_MS], "look 0 failed"],
])("looks at %j fail: the other is taken all the same, and the failure is told", async (failing, said) => {
	const [clock, seen] = [aClock(), [] as number[]];
	const looking = looks(
		2,
		0,
		async (now) => {
			seen.push(now);
			if (failing.includes(now)) throw new Error(`look ${now} failed`);
		},
		clock,
	);
	await expect(looking).rejects.toThrow(said);
	expect(seen).toEqual([0, HALF_MS]);
});

test("the second look judges what came since the first", async () => {
	const row = await started("fresh");
	await outcomes(row, HEALTHY);
	const clock = aClock();
	const wait = async (ms: number) => {
		await clock.wait(ms);
		await outcomes(row, { candidate: [100, 90], control: [1_900, 19] }, "worse");
	};
	const now = nextMinute();
	await looks(2, now, (at) => clock.look(() => tick(aTick(), at)), { ...clock, wait });
	expect(await current(row.id)).toMatchObject({ status: "rolled_back", state: { atMs: now + HALF_MS } });
});

test("a first look that dies half-way stops no second: it ends where one look would have", async () => {
	const row = await started("dies");
	await outcomes(row, HARMFUL);
	const clock = aClock();
	const dying = {
		...aTick(),
		realNow: () => {
			throw new Error("out of memory");
		},
	};
	let isFirst = true;
	const now = nextMinute();
	const looking = looks(
		2,
		now,
		(at) => {
			const given = isFirst ? dying : aTick();
			isFirst = false;
			return clock.look(() => tick(given, at));
		},
		clock,
	);
	await expect(looking).rejects.toThrow("out of memory");
	expect((await current(row.id)).status).toBe("rolled_back");
});

test("a source that fails one look is asked again by the next, and nothing is counted twice", async () => {
	const row = await started("failing");
	await outcomes(row, HEALTHY);
	const clock = aClock();
	const failing = { ...embedded(env.DB), watermark: () => Promise.reject(new Error("down")) };
	const now = nextMinute();
	await looks(2, now, (at) => clock.look(() => tick(aTick(at === now ? { metrics: failing } : {}), at)), clock);
	expect(await current(row.id)).toMatchObject({
		state: { watch: { tickedAtMs: now + HALF_MS, failedReads: 0, ticks: 1, exposures: [{ served: 5_000, candidate: 50, control: 950 }] } },
	});
	expect(await latestCheck(db, row.id)).toMatchObject({ atMs: now + HALF_MS, reason: "hold_not_served" });
});

test("TICK_LOOKS = 2 has the Worker's cron look twice, and without it once", async () => {
	const row = await started("cron");
	const wait = vi.spyOn(scheduler, "wait").mockImplementation(async () => {});
	const run = async (bindings: object): Promise<void> => {
		const event = { scheduledTime: nextMinute(), cron: "* * * * *", noRetry() {} };
		await control.scheduled(event, { ...env, ...bindings });
	};
	await run({});
	expect((await latestCheck(db, row.id))?.atMs).toBe(START_MS + minute * MINUTE_MS);
	expect(wait).not.toHaveBeenCalled();
	await run({ TICK_LOOKS: "2" });
	expect((await latestCheck(db, row.id))?.atMs).toBe(START_MS + minute * MINUTE_MS + HALF_MS);
	expect(wait).toHaveBeenCalledOnce();
	wait.mockRestore();
});
