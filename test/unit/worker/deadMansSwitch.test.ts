import { beforeEach, describe, expect, test, vi } from "vitest";
import { bucketOf, seedOf } from "../../../core/flags/bucket";
import { evaluate } from "../../../core/flags/evaluate";
import { flagInput, completeFlag } from "../../../core/flags/model";
import { command } from "../../../core/rollouts/command";
import { liveRollout } from "../../../core/rollouts/exposure";
import { storedPlan } from "../../../core/rollouts/plan";
import type { LiveState } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, started, unguarded } from "../../../core/rollouts/transitions";
import { LEASE_MS } from "../../../core/wire";
import { aFlag, aRollout, aState, publish, type Published } from "../../workers/edge/fixture";
import { aWorld } from "./world";

beforeEach(
	() =>
		void vi
			.spyOn(console, "warn")
			.mockReset()
			.mockImplementation(() => {}),
);

const MINUTE_MS = 60_000;
const flags = [aFlag({ key: "natal" }), aFlag({ key: "tide" }), aFlag()];
/** `kerykeion` goes back when nobody guards it, `tidal` goes on. */
const rollouts = [
	aRollout({ served: 100_000, retreats: true }),
	aRollout({ key: "tidal", flags: { tide: "true" }, served: 100_000, retreats: false }),
];
const state = aState({ flags, rollouts });

/** Guarded now, by the clock that the test starts with; the edge's own clock is ahead of it as far as the test says. */
async function aGuardedWorld(published?: Published) {
	const world = aWorld(published ?? (await publish([state])));
	const see = async (flag: string, user = "ada") => {
		const open = await world.request();
		await world.idle();
		return open && evaluate(open.snapshot, open.overlay, flag, { targetingKey: user });
	};
	return { world, see };
}
const onCandidate = { value: true, reason: "SPLIT" };
const retreated = { value: false, reason: "DEFAULT", metadata: { rollout: "kerykeion", overlay: "dead man's switch" } };

describe("without a tick for longer than the lease", () => {
	test("a rollout whose plan says so is back on the baseline, one that holds goes on, and other flags are as before", async () => {
		const { world, see } = await aGuardedWorld();
		expect(await see("natal")).toMatchObject(onCandidate);
		world.later(LEASE_MS - MINUTE_MS);
		expect(await see("natal")).toMatchObject(onCandidate);
		world.later(MINUTE_MS + 1);
		expect(await see("natal")).toMatchObject(retreated);
		expect(await see("tide")).toMatchObject({ ...onCandidate, metadata: { rollout: "tidal" } });
		expect(await see("checkout")).toMatchObject({ value: false, reason: "STATIC", metadata: { snapshot: 1 } });
	});

	test.each(["down", "hangs"] as const)("it is so with control and KV gone (%s): the clock alone says it", async (health) => {
		const { world, see } = await aGuardedWorld();
		await see("natal");
		world.control.health = world.kv.health = health;
		world.later(LEASE_MS + 1);
		expect(await see("natal")).toMatchObject(retreated);
		expect(await see("tide")).toMatchObject(onCandidate);
	});

	test("it is so in a cold isolate's first answer", async () => {
		const { world, see } = await aGuardedWorld(await publish([state], { guardedAtMs: Date.now() - LEASE_MS - 1 }));
		world.control.health = "down";
		expect(await see("natal")).toMatchObject(retreated);
	});

	test("a paused rollout's users, who are served the candidate too, go back as well", async () => {
		const paused = aState({ flags, rollouts: [aRollout({ served: 20_000, retreats: true })] });
		const { see } = await aGuardedWorld(await publish([paused], { guardedAtMs: Date.now() - LEASE_MS - 1 }));
		const user = Array.from({ length: 100 }, (_, i) => `u${i}`).find((each) => bucketOf(each, seedOf("kerykeion")) < 20_000);
		expect(await see("natal", user)).toMatchObject(retreated);
	});

	test("a rollout that begins meanwhile begins on the baseline", async () => {
		const guardedAtMs = Date.now() - LEASE_MS - 1;
		const { world, see } = await aGuardedWorld(await publish([aState({ flags })], { guardedAtMs }));
		await see("natal");
		world.publish(await publish([{ ...state, version: 2 }], { revision: 2, guardedAtMs }));
		world.later(8_000);
		expect(await see("natal")).toMatchObject(retreated);
	});
});

test.each([0, undefined])("an installation that has never ticked (%s) is not unguarded", async (guardedAtMs) => {
	const published = await publish([state], { guardedAtMs: 0 });
	const production = published.head.environments["production"];
	const environments = { production: { ...production, guardedAtMs } };
	const { see } = await aGuardedWorld({ ...published, head: { ...published.head, environments } as unknown as Published["head"] });
	expect(await see("natal")).toMatchObject(onCandidate);
});

describe("a newer head that says guarded", () => {
	const lapsed = async () => {
		const guardedAtMs = Date.now();
		const { world, see } = await aGuardedWorld(await publish([state], { guardedAtMs }));
		await see("natal");
		world.later(LEASE_MS + 1);
		expect(await see("natal")).toMatchObject(retreated);
		return { world, see, nowMs: guardedAtMs + LEASE_MS + 1 };
	};

	test("ends it at once when its body is held", async () => {
		const { world, see, nowMs } = await lapsed();
		world.publish(await publish([state], { revision: 2, guardedAtMs: nowMs }));
		world.later(8_000);
		expect(await see("natal")).toMatchObject(onCandidate);
	});

	test("from KV counts, when control is gone", async () => {
		const { world, see, nowMs } = await lapsed();
		world.control.health = "down";
		world.publish(await publish([state], { revision: 2, guardedAtMs: nowMs }));
		world.later(8_000);
		expect(await see("natal")).toMatchObject(onCandidate);
	});

	test("of an older revision does not end it", async () => {
		const { world, see, nowMs } = await lapsed();
		world.publish(await publish([state], { revision: 0, guardedAtMs: nowMs }));
		world.later(8_000);
		expect(await see("natal")).toMatchObject(retreated);
	});

	test("does not end it before the body that it names is here", async () => {
		const { world, see, nowMs } = await lapsed();
		const next = await publish([{ ...state, version: 2, rollouts: [aRollout({ served: 0, stage: 2, retreats: true })] }], {
			revision: 2,
			guardedAtMs: nowMs,
		});
		world.publish({ ...next, bodies: new Map() });
		for (let i = 0; i < 5; i++) {
			world.later(8_000);
			// oxlint-disable-next-line no-await-in-loop -- request after request
			expect(await see("natal")).toMatchObject({ value: false, metadata: { snapshot: 1, overlay: "earlier head" } });
		}
		world.publish(next);
		world.later(8_000);
		await see("natal");
		expect(await see("natal")).toMatchObject({ value: false, reason: "SPLIT", metadata: { snapshot: 2 } });
	});

	test("does not end it for any of the requests that wait for that body", async () => {
		const { world, see, nowMs } = await lapsed();
		const next = await publish([{ ...state, version: 2, rollouts: [aRollout({ served: 0, stage: 2, retreats: true })] }], {
			revision: 2,
			guardedAtMs: nowMs,
		});
		world.publish(next);
		world.later(8_000);
		world.answersAfterMs = 20;
		const seen = await Promise.all(Array.from({ length: 50 }, () => see("natal")));
		expect(new Set(seen.map((each) => each?.reason !== "ERROR" && each?.value))).toEqual(new Set([false]));
	});
});

/** The whole course, with the state machine's own states packed as control packs them. */
test.each(["retreat", "hold"] as const)(
	"from guard to lapse to tick to resume no user goes back and forth: %s",
	async (on_control_loss) => {
		const wanted = storedPlan.parse({
			rollout: "kerykeion",
			environment: "production",
			flags: ["natal"],
			phases: [
				{ percent: 40, hold: "2m" },
				{ percent: 100, hold: "2m" },
			],
			guards: ["error_rate vs control <= +25%"],
			on_control_loss,
		});
		const natal = completeFlag(flagInput.parse({ key: "natal", type: "boolean" }));
		const startMs = Date.now();
		let nowMs = startMs;
		let revision = 0;
		const publishedOf = (live: LiveState, version: number, guardedAtMs: number) => {
			const rollout = liveRollout("kerykeion.1", wanted, live);
			const packed = aState({ version, flags: [natal], rollouts: rollout ? [rollout] : [] });
			return publish([packed], { revision: ++revision, guardedAtMs });
		};
		const first = started(wanted, FIRST_LAUNCH, startMs);
		const { world, see } = await aGuardedWorld(await publishedOf(first, 1, startMs));
		const users = Array.from({ length: 60 }, (_, i) => `user-${i}`);
		/** What every user has been served, one letter a look. */
		const courses = users.map(() => "");
		const look = async (): Promise<void> => {
			const seen = await Promise.all(users.map((user) => see("natal", user)));
			seen.forEach((each, i) => (courses[i] += each?.reason !== "ERROR" && each?.value === true ? "C" : "b"));
		};
		const pass = async (ms: number): Promise<void> => {
			world.later(ms);
			nowMs += ms;
			await see("natal");
			await look();
		};

		await look();
		await pass(LEASE_MS - MINUTE_MS);
		await pass(2 * MINUTE_MS); // lapsed
		const stopped = unguarded(wanted, first, nowMs, "tidegate", "unguarded");
		expect(stopped).toMatchObject({ status: "paused", retreated: on_control_loss === "retreat" });
		if (stopped.status !== "paused") throw new Error(stopped.status);
		// The tick publishes before the head says guarded.
		const said = await publishedOf(stopped, 2, startMs);
		world.publish(said);
		await pass(8_000);
		world.publish({ ...said, head: (await publishedOf(stopped, 2, nowMs)).head });
		await pass(8_000);
		await pass(8_000);
		const resumed = command(wanted, stopped, { kind: "resume", by: "ann", reason: "looked", launch: 1 }, nowMs);
		if (!resumed.ok || resumed.value.state.status !== "running") throw new Error("not resumed");
		expect(resumed.value.state).toMatchObject(
			on_control_loss === "retreat" ? { stage: 3, phase: 0, retreated: false, before: { stage: 2, served: 0 } } : { stage: 1, phase: 0 },
		);
		world.publish(await publishedOf(resumed.value.state, 3, nowMs));
		await pass(8_000);

		const candidates = users.map((user) => bucketOf(user, seedOf("kerykeion.1")) < 40_000);
		expect(candidates.filter(Boolean).length).toBeGreaterThan(10);
		const course = on_control_loss === "retreat" ? "CCbbbbC" : "CCCCCCC";
		expect(courses).toEqual(candidates.map((isCandidate) => (isCandidate ? course : "bbbbbbb")));
	},
);
