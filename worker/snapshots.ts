import { type ActiveOverlay, type Overlay, parseOverride, unite } from "../core/flags/overlay";
import type { Snapshot } from "../core/flags/ruleset";
import { type EnvironmentHead, type Head, LEASE_MS } from "../core/wire";
import { type Held, nothingHeld, step, TIMEOUT_MS, type Waiting } from "./head";
import { isHead } from "./isHead";
import { type Body, load, LOAD_DEAD_AFTER_MS } from "./load";
import { log } from "./log";
import type { Sources } from "./sources";
import { within } from "./within";

/** An environment that this isolate has been asked for. */
interface Environment {
	readonly body: Held<Body>;
	/** The body before, kept beside the current one. */
	previous: Body | undefined;
	/** When a confirmed head last named the body. */
	currentAtMs: number;
	/** Break-glass, as last read. */
	override: Overlay;
	/** Nobody has guarded the environment's rollouts for longer than their lease. */
	isUnguarded: boolean;
	/** What overlays it besides break-glass: it stays until the head's own body is here. */
	unabsorbed: Overlay;
	overlay: ActiveOverlay;
}

/** What an isolate knows: plain data, shared by its requests. */
export interface Isolate {
	/** Drawn with its first question for the head: outside of a request workerd has no randomness. */
	id: string;
	readonly head: Held<Head>;
	readonly environments: Map<string, Environment>;
}
export const coldIsolate = (): Isolate => ({ id: "", head: nothingHeld(2 * TIMEOUT_MS), environments: new Map() });

/** What a request evaluates with. */
export interface Serving {
	readonly snapshot: Snapshot;
	readonly overlay: ActiveOverlay;
	/** For 25 s nobody has confirmed that this is the newest. */
	readonly isStale: boolean;
}

const POLL_MS = 5;
const STALE_MS = 25_000;
const NO_OVERRIDE: Overlay = { kill: [], baseline: [] };

/** Whether the head serves as it is: mostly so, and then nobody has to wait for anything. */
export const isNewEnough = ({ head }: Isolate, { now }: Sources): boolean => step(head, now()) === "use";

/** The head, refreshed by its rule; undefined when none can be read. Never rejects. */
export async function currentHead(isolate: Isolate, from: Sources): Promise<Head | undefined> {
	await settle(isolate.head, from, (waiting) => refreshHead(isolate, from, waiting));
	return isolate.head.value;
}

/** What to serve an environment from under the isolate's head; undefined when no body of it can be read. Never rejects. */
export async function serving(isolate: Isolate, from: Sources, name: string): Promise<Serving | undefined> {
	const environment = environmentOf(isolate, name);
	if (!environment) return undefined;
	const { body } = environment;
	if (!isCurrent(isolate, name, body.value)) await settle(body, from, (waiting) => refreshBody(isolate, from, name, waiting));
	if (!body.value) return undefined;
	watchGuard(isolate, name, environment, from.now());
	const confirmedAtMs = isCurrent(isolate, name, body.value) ? isolate.head.confirmedAtMs : environment.currentAtMs;
	return { snapshot: body.value.snapshot, overlay: environment.overlay, isStale: from.now() - confirmedAtMs >= STALE_MS };
}

/** Follows the rule until there is nothing left to wait for. */
async function settle<T>(held: Held<T>, from: Sources, refresh: (waiting: Waiting) => Promise<void>): Promise<void> {
	for (;;) {
		switch (step(held, from.now())) {
			case "use":
				return;
			case "refresh behind the answer":
				from.waitUntil(refresh("behind"));
				return;
			case "refresh first": {
				// Others look at its result, so it goes on even when this request is cancelled.
				const work = refresh("waited for");
				from.waitUntil(work);
				return await work;
			}
			case "wait for the refresh under way":
				// Its result is looked at, because its promise belongs to the other request.
				await from.wait(POLL_MS);
		}
	}
}

/** Runs one attempt and keeps its outcome. Never rejects: what fails leaves the last known good in place. */
async function attempt<T>(held: Held<T>, waiting: Waiting, startedAtMs: number, what: string, work: () => Promise<boolean>): Promise<void> {
	held.attemptAtMs = startedAtMs;
	held.attempt = waiting;
	let outcome: Held<T>["attempt"] = "failed";
	try {
		if (await work()) outcome = "done";
	} catch (error) {
		log(`${what}_failed`, { error: String(error) });
	}
	// An attempt that was given up for dead must not speak for the one that followed it.
	if (held.attemptAtMs === startedAtMs) held.attempt = outcome;
}

async function refreshHead(isolate: Isolate, from: Sources, waiting: Waiting): Promise<void> {
	const startedAtMs = from.now();
	let bodies: Promise<void>[] = [];
	// Break-glass works without control and D1: it is read with each refresh, whatever comes of that.
	const overrides = [...isolate.environments].map(([name, environment]) => refreshOverride(isolate, from, name, environment));
	await attempt(isolate.head, waiting, startedAtMs, "head_refresh", async () => {
		const { head, isConfirmed } = await newestHead(isolate, from);
		const isAdopted = adopt(isolate, head, isConfirmed, startedAtMs);
		// Begun before any other request sees the new head: none of them has to wait for a body then.
		if (isAdopted && waiting === "behind") bodies = refreshBodiesBehind(isolate, from);
		return isAdopted && isConfirmed;
	});
	await Promise.all([...bodies, ...overrides]);
}

/** Never rejects. */
async function refreshOverride(isolate: Isolate, from: Sources, name: string, environment: Environment): Promise<void> {
	try {
		const found = parseOverride((await within(TIMEOUT_MS, from.store.override(name), from.wait)) ?? NO_OVERRIDE);
		if (!found) throw new Error('it is no {"kill": [flags], "baseline": [rollouts]}');
		environment.override = found;
		renewOverlay(isolate, name, environment);
	} catch (error) {
		// What was read before stays in force: an emergency does not end because KV is slow or the new text is wrong.
		log("override_unusable", { environment: name, error: String(error) });
	}
}

/** The dead man's switch: by the newest head that was seen, however it came. */
function watchGuard(isolate: Isolate, name: string, environment: Environment, nowMs: number): void {
	const guardedAtMs = (isolate.head.value && namedBy(isolate.head.value, name)?.guardedAtMs) ?? 0;
	const isUnguarded = guardedAtMs > 0 && nowMs - guardedAtMs > LEASE_MS;
	if (isUnguarded === environment.isUnguarded) return;
	environment.isUnguarded = isUnguarded;
	log("guard_changed", { environment: name, isUnguarded, guardedAtMs });
	renewOverlay(isolate, name, environment);
}

/** Control's head, or KV's when control is down: that one is no confirmation, since it may be minutes old. */
async function newestHead(isolate: Isolate, from: Sources): Promise<{ head: Head; isConfirmed: boolean }> {
	try {
		isolate.id ||= crypto.randomUUID();
		const seen = { isolate: isolate.id, colo: from.colo(), revision: isolate.head.value?.revision ?? 0 };
		const head: unknown = await within(TIMEOUT_MS, from.control.head(seen), from.wait);
		if (!isHead(head)) throw new Error("what control answered is no head");
		return { head, isConfirmed: true };
	} catch (error) {
		log("control_unreachable", { error: String(error) });
		const head = await within(TIMEOUT_MS, from.store.head(), from.wait);
		if (!isHead(head)) throw new Error("no head in KV either", { cause: error });
		return { head, isConfirmed: false };
	}
}

/** Never goes back to an older revision. An equal one says nothing new, except that control confirms it. */
function adopt(isolate: Isolate, head: Head, isConfirmed: boolean, atMs: number): boolean {
	const held = isolate.head.value;
	if (held && (head.revision < held.revision || (head.revision === held.revision && !isConfirmed))) {
		if (isConfirmed) log("older_head_refused", { revision: head.revision, held: held.revision });
		return false;
	}
	isolate.head.value = head;
	// From the question on, not from the answer: what was committed in between is not in it.
	if (isConfirmed) isolate.head.confirmedAtMs = Math.max(atMs, isolate.head.confirmedAtMs);
	for (const [name, environment] of isolate.environments) {
		const named = namedBy(head, name);
		if (named) follow(isolate, name, environment);
		else isolate.environments.delete(name);
	}
	return true;
}

function refreshBodiesBehind(isolate: Isolate, from: Sources): Promise<void>[] {
	const isDue = (held: Held<Body>): boolean => step(held, from.now()).startsWith("refresh");
	return [...isolate.environments]
		.filter(([name, { body }]) => body.value && !isCurrent(isolate, name, body.value) && isDue(body))
		.map(([name]) => refreshBody(isolate, from, name, "behind"));
}

async function refreshBody(isolate: Isolate, from: Sources, name: string, waiting: Waiting): Promise<void> {
	const environment = isolate.environments.get(name);
	const named = isolate.head.value && namedBy(isolate.head.value, name);
	// Whoever waited for the refresh under way comes here when it is done: 100 requests must not load a body 100 times.
	if (!environment || !named || isCurrent(isolate, name, environment.body.value)) return;
	await attempt(environment.body, waiting, from.now(), "body_refresh", async () => {
		// A cold isolate must know of break-glass before its first answer.
		const [loaded] = await Promise.all([
			load(from, name, named),
			environment.body.value === undefined ? refreshOverride(isolate, from, name, environment) : undefined,
		]);
		const { body } = environment;
		// The head may have moved on meanwhile, and another attempt may have been faster.
		if (body.value && !isCurrent(isolate, name, loaded) && loaded.snapshot.version <= body.value.snapshot.version) return true;
		environment.previous = body.value;
		body.value = loaded;
		follow(isolate, name, environment);
		return true;
	});
}

/** Brings an environment in line with the head that the isolate has adopted. */
function follow(isolate: Isolate, name: string, environment: Environment): void {
	const { body, previous } = environment;
	if (previous && isCurrent(isolate, name, previous)) {
		environment.previous = body.value;
		body.value = previous;
	}
	if (isCurrent(isolate, name, body.value)) environment.currentAtMs = isolate.head.confirmedAtMs;
	renewOverlay(isolate, name, environment);
}

/** Unites all that overlays an environment now. */
function renewOverlay(isolate: Isolate, name: string, environment: Environment): void {
	const { body } = environment;
	const named = isolate.head.value && namedBy(isolate.head.value, name);
	if (!named) return;
	const retreating = environment.isUnguarded ? (body.value?.snapshot.measured().rollouts ?? []).filter(({ retreats }) => retreats) : [];
	const retreat = { kill: [], baseline: retreating.map(({ key }) => key) };
	// The new snapshot may have absorbed what was overlaid, and it is not here yet: no emergency ends before it is.
	const earlier = isCurrent(isolate, name, body.value) ? NO_OVERRIDE : environment.unabsorbed;
	environment.unabsorbed = namesIn(unite({ head: named.overlay, retreat, earlier }));
	environment.overlay = unite({
		head: named.overlay,
		"break-glass": environment.override,
		"dead man's switch": retreat,
		"earlier head": earlier,
	});
}

function environmentOf(isolate: Isolate, name: string): Environment | undefined {
	const known = isolate.environments.get(name);
	if (known) return known;
	const named = isolate.head.value && namedBy(isolate.head.value, name);
	if (!named) return undefined;
	const body = nothingHeld<Body>(LOAD_DEAD_AFTER_MS);
	const environment: Environment = {
		body,
		previous: undefined,
		currentAtMs: 0,
		override: NO_OVERRIDE,
		isUnguarded: false,
		unabsorbed: named.overlay,
		overlay: unite({ head: named.overlay }),
	};
	isolate.environments.set(name, environment);
	return environment;
}

function isCurrent(isolate: Isolate, name: string, body: Body | undefined): boolean {
	const named = isolate.head.value && namedBy(isolate.head.value, name);
	return body !== undefined && named?.version === body.snapshot.version && named.digest === body.digest;
}

function namedBy(head: Head, name: string): EnvironmentHead | undefined {
	return Object.hasOwn(head.environments, name) ? head.environments[name] : undefined;
}

function namesIn(overlay: ActiveOverlay): Overlay {
	return { kill: [...overlay.kill.keys()], baseline: [...overlay.baseline.keys()] };
}
