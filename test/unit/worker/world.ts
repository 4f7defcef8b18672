import { setTimeout as pause } from "node:timers/promises";
import type { EdgeSeen, HeadSource } from "../../../core/wire";
import { coldIsolate, serving, currentHead, type Serving } from "../../../worker/snapshots";
import type { SnapshotStore, Sources } from "../../../worker/sources";
import type { Published } from "../../workers/edge/fixture";

/** How a source answers: as it should, not at all, or with an error. */
type Health = "up" | "down" | "hangs";

/** One isolate between a control and a KV that a test can break. Time is real, and a test can let it pass at once. */
export function aWorld(published: Published) {
	let skippedMs = 0;
	const works = new Set<Promise<unknown>>();
	const answer = async <T>(health: Health, value: T): Promise<T> => {
		if (health === "down") throw new Error("down");
		if (health === "hangs") return new Promise<never>(() => {});
		await pause(world.answersAfterMs);
		return value;
	};
	const world = {
		isolate: coldIsolate(),
		/** What control and KV hold, and how they are; a test overwrites any of it. */
		control: { head: published.head as unknown, bodies: published.bodies, health: "up" as Health },
		kv: {
			head: published.head as unknown,
			bodies: published.bodies,
			/** Break-glass: of all environments, or of those named. An error stands for a text that is no JSON. */
			override: null as unknown,
			overrides: undefined as Readonly<Record<string, unknown>> | undefined,
			health: "up" as Health,
		},
		/** Longer than a request polls: then some requests find the head there and the body still under way. */
		answersAfterMs: 1,
		/** What the isolate has said of itself to control. */
		said: [] as EdgeSeen[],
		calls: { head: 0, kvHead: 0, body: 0, kvBody: 0, override: 0 },
		/** Lets time pass: the clock only, no timer. */
		later: (ms: number): void => void (skippedMs += ms),
		/** A request's way to its head and snapshot. */
		async request(environment = "production"): Promise<Serving | undefined> {
			await currentHead(world.isolate, sources);
			return serving(world.isolate, sources, environment);
		},
		/** Until nothing goes on behind the answers any more. */
		async idle(): Promise<void> {
			while (works.size > 0) await Promise.all(works);
		},
		publish(next: Published): void {
			world.control.head = world.kv.head = next.head;
			world.control.bodies = world.kv.bodies = new Map([...world.kv.bodies, ...next.bodies]);
		},
	};
	const control: HeadSource = {
		head: (seen) => {
			world.calls.head++;
			if (seen) world.said.push(seen);
			return answer(world.control.health, world.control.head as never);
		},
		body: (environment, version) => {
			world.calls.body++;
			return answer(world.control.health, world.control.bodies.get(`${environment}/${version}`) ?? null);
		},
	};
	const store: SnapshotStore = {
		head: () => {
			world.calls.kvHead++;
			return answer(world.kv.health, world.kv.head);
		},
		body: (environment, version) => {
			world.calls.kvBody++;
			const body = world.kv.bodies.get(`${environment}/${version}`);
			return answer(world.kv.health, body === undefined ? null : new TextEncoder().encode(body).buffer);
		},
		override: async (environment) => {
			world.calls.override++;
			const { health, override, overrides } = world.kv;
			const found = await answer(health, overrides ? (overrides[environment] ?? null) : override);
			if (found instanceof Error) throw found;
			return found;
		},
	};
	const sources: Sources = {
		control,
		store,
		colo: () => "ZRH",
		now: () => Date.now() + skippedMs,
		wait: (ms, signal) => pause(ms, undefined, signal ? { signal } : {}),
		waitUntil: (work) => {
			works.add(work);
			void work.finally(() => works.delete(work));
		},
	};
	return world;
}
