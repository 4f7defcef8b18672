import type { Observation } from "../../core/health/observation";
import { placeOf } from "../../core/rollouts/command";
import { decide } from "../../core/rollouts/decide";
import type { Change, Hold } from "../../core/rollouts/decision";
import { candidateOf } from "../../core/rollouts/exposure";
import { printDuration } from "../../core/rollouts/duration";
import { isLive } from "../../core/rollouts/state";
import { BREAKER_WINDOW_MS, breakerOpenUntil } from "../../core/rollouts/breaker";
import { paused, unguarded } from "../../core/rollouts/transitions";
import { findingOf } from "../../core/health/environment";
import { LEASE_MS } from "../../core/wire";
import { log, nameOf } from "../log";
import { prune } from "../metrics/prune";
import type { MetricsSource } from "../metrics/source";
import type { Notifier } from "../notify/notifier";
import type { StepCaller } from "../notify/stepCaller";
import { pruneEdges } from "../store/edges";
import { recordEnvironments } from "../store/environmentChecks";
import { listEnvironments } from "../store/environments";
import { getFlags } from "../store/flags";
import { readHead, tickCompleted } from "../store/publication";
import { type StoredRollout, listLive } from "../store/rollouts";
import { commitChange, recordFailure, rollbacksSince } from "../store/rolloutChanges";
import { type Held, pruneChecks, recordCheck, recordHolds } from "../store/rolloutHolds";
import { pruneDeliveries } from "../store/webhookDeliveries";
import { deliver } from "./deliver";
import { ENGINE } from "./engine";
import { observe } from "./observe";
import { type Publisher, publish } from "./publish";
import { verify } from "./verify";

export interface Tick extends Publisher {
	readonly metrics: MetricsSource;
	readonly notifier: Notifier;
	readonly steps: StepCaller;
}

const NOTHING_SEEN: Observation = { kind: "source_error", message: "no tick looked" };
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** Some five statements each, of the thousand that an invocation may ask of D1. */
const CHANGES_MAX = 150;
/**
 * Edges count their lease by themselves, and hear of a tick some seconds after its end: control takes it for a lapse before any
 * of them does, or users would go to the baseline and come back.
 */
const LAPSE_MS = LEASE_MS - 2 * MINUTE_MS;

/**
 * One pass: observe → decide → commit → publish → deliver. `now` is the scheduled time. Safe when run twice, late, or two at once: a
 * decision's event has a key that only one of them can write, evidence is only ever kept beside the state it belongs to,
 * and publishing derives everything anew.
 */
export async function tick(given: Tick, now: number): Promise<void> {
	const { lastTickMs, guardedAtMs } = await readHead(given.db);
	const unguardedMs = guardedAtMs === 0 ? 0 : given.realNow() - guardedAtMs;
	// An earlier tick that comes late would judge the past with the present's data. What is pending is published all the same.
	const isNext = now >= lastTickMs;
	if (!isNext) log("tick_out_of_order", { now, lastTickMs });
	const isGuarded = isNext && (await attempt("guard", () => guard(given, now, unguardedMs)));
	const unpublished = await publish(given);
	// Edges that took users back by themselves must not hear of a guard before they can have the body that says the same.
	const isWithheld = unguardedMs >= LAPSE_MS && unpublished.length > 0;
	if (isWithheld) log("guard_withheld", { unpublished });
	if (isGuarded && !isWithheld) await completed(given, now);
	await attempt("verify", () => verify(given, now));
	// Last, since it waits for others; also of a tick that failed, which somebody may have to be told of.
	await attempt("deliver", () => deliver(given));
}

async function completed({ db, realNow }: Tick, now: number): Promise<void> {
	await tickCompleted(db, now, realNow());
	if (now % HOUR_MS >= MINUTE_MS) return;
	await attempt("prune", () => prune(db.$client, now, realNow()));
	await attempt("prune_checks", () => pruneChecks(db, now));
	await attempt("prune_deliveries", () => pruneDeliveries(db, realNow()));
	await attempt("prune_edges", () => pruneEdges(db, realNow()));
}

/** One step that fails is logged, and keeps no other from being taken. */
async function attempt(step: string, work: () => Promise<void>): Promise<boolean> {
	try {
		await work();
		return true;
	} catch (error) {
		log("tick_step_failed", { step, error: nameOf(error) });
		return false;
	}
}

async function guard(given: Tick, now: number, unguardedMs: number): Promise<void> {
	const { rows, corrupt } = await listLive(given.db);
	for (const id of corrupt) log("rollout_corrupt", { rollout: id });
	const breakers: Breakers = rows.length > 0 ? await breakersOf(given.db, now) : new Map<string, number | null>();
	const observations = rows.length > 0 ? await observe(given.metrics, rows, now) : new Map<string, Observation>();
	const decided = rows.flatMap(
		(row) => leaseLost(row, unguardedMs, now) ?? decideOne(row, observations.get(row.id), now, breakerOf(breakers, row.environment)) ?? [],
	);
	const changes = decided.filter((each) => each.decision.kind !== "hold");
	// Whoever is being hurt comes first.
	changes.sort((a, b) => Number(b.decision.kind === "roll_back") - Number(a.decision.kind === "roll_back"));
	// Too many at once would cost this tick its end; what is left is decided again by the next one.
	const [some, left] = [changes.slice(0, CHANGES_MAX), changes.slice(CHANGES_MAX)];
	if (left.length > 0) log("changes_left", { count: left.length });
	let unpaused = left.filter((each) => each.decision.reason === "unguarded").length;
	for (const change of some) {
		// oxlint-disable-next-line no-await-in-loop -- changes are few, and D1 has one writer
		const isCommitted = await apply(given, change, now);
		if (!isCommitted && change.decision.reason === "unguarded") unpaused++;
	}
	const held = decided.flatMap(({ row, decision }): Held[] =>
		decision.kind === "hold" ? [{ row, hold: decision, percent: placeOf(row.plan, row.state).percent }] : [],
	);
	await recordHolds(given.db, held, now);
	await attempt("environment_checks", () => checkEnvironments(given.db, decided, breakers, now));
	// The lapse goes on, and so do the edges' retreats, until each of them is a state.
	if (unpaused > 0) throw new Error(`${unpaused} unguarded rollouts could not be paused`);
}

/** By environment, until when nothing advances; or nobody knows. */
type Breakers = ReadonlyMap<string, number | null> | "unknown";
const breakerOf = (breakers: Breakers, environment: string): number | null | "unknown" =>
	breakers === "unknown" ? "unknown" : (breakers.get(environment) ?? null);

/** What cannot be known of the breaker stops advances, and never a rollback. */
async function breakersOf(db: Tick["db"], now: number): Promise<Breakers> {
	try {
		const found = await rollbacksSince(db, ENGINE, now - BREAKER_WINDOW_MS);
		return new Map([...found].map(([environment, times]) => [environment, breakerOpenUntil(times, now)]));
	} catch (error) {
		log("breaker_not_read", { error: nameOf(error) });
		return "unknown";
	}
}

async function checkEnvironments(db: Tick["db"], decided: readonly Decided[], breakers: Breakers, now: number): Promise<void> {
	const of = Map.groupBy(decided, ({ row }) => row.environment);
	const found = (await listEnvironments(db)).map((environment) => {
		const rollouts = (of.get(environment) ?? []).map(({ row, decision }) => ({
			id: row.id,
			level: decision.judgement?.level ?? ("unknown" as const),
			score: decision.judgement?.score ?? null,
		}));
		const until = breakerOf(breakers, environment);
		return [environment, findingOf(rollouts, until === "unknown" ? null : until)] as const;
	});
	await recordEnvironments(db, found, now);
}

interface Decided {
	readonly row: StoredRollout;
	readonly observation: Observation;
	readonly decision: Hold | Change;
}

/**
 * The first tick after a lapse judges nothing: what happened meanwhile was seen by nobody, and a person should look. One that
 * was paused before stays as it is, unless the edges have moved its users too.
 */
function leaseLost(row: StoredRollout, unguardedMs: number, now: number): Decided | undefined {
	const { plan, state } = row;
	if (unguardedMs < LAPSE_MS || !isLive(state)) return undefined;
	const retreats = plan.on_control_loss === "retreat";
	if (state.status === "paused" && (!retreats || state.retreated)) return undefined;
	const message = `unguarded: no tick for ${printDuration(unguardedMs)} > ${printDuration(LAPSE_MS)}${retreats ? ", users went back to the baseline" : ""}`;
	const stopped = unguarded(plan, state, now, ENGINE, message);
	const alerts = [{ severity: "page" as const, kind: "unguarded", message }];
	const decision: Change = { kind: "pause", reason: "unguarded", message, state: stopped, judgement: null, alerts };
	return { row, observation: NOTHING_SEEN, decision };
}

/** One that cannot be judged is paused and reported, and never stops the others. */
function decideOne(
	row: StoredRollout,
	observation: Observation | undefined,
	now: number,
	breakerUntilMs: number | null | "unknown",
): Decided | undefined {
	try {
		if (!observation) throw new Error("its plan cannot be read");
		const decision = decide(row.plan, row.state, observation, now, { breakerUntilMs });
		return decision.kind === "none" ? undefined : { row, observation, decision };
	} catch (error) {
		log("rollout_failed", { rollout: row.id, error: nameOf(error) });
		if (row.state.status !== "running") return undefined;
		const message = "the rollout could not be judged: see rollout_failed in the log";
		const state = paused({ ...row.state, watch: { ...row.state.watch, tickedAtMs: now } }, now, ENGINE, message);
		const alerts = [{ severity: "page" as const, kind: "engine_error", message }];
		return {
			row,
			observation: observation ?? NOTHING_SEEN,
			decision: { kind: "pause", reason: "engine_error", message, state, judgement: null, alerts },
		};
	}
}

/** A change that cannot be written is logged and decided again by the next tick. Returns whether it was. */
async function apply(given: Tick, { row, observation, decision }: Decided, now: number): Promise<boolean> {
	if (decision.kind === "hold") return true;
	try {
		const isCommitted = await commitChange(given.db, {
			row,
			change: decision,
			act: { actor: ENGINE, reason: decision.message, correlationId: `tick/${now}`, atMs: now },
			realNow: given.realNow(),
			evidence: { observation, judgement: decision.judgement },
			flags: decision.kind === "complete" ? await getFlags(given.db, row.environment, row.plan.flags) : [],
			candidate: candidateOf(row.plan),
		});
		// Lost: somebody else changed this rollout first, and the next tick sees what they did.
		if (!isCommitted) log("decision_lost", { rollout: row.id, revision: row.revision + 1, kind: decision.kind });
		else
			await attempt("record_check", () =>
				recordCheck(given.db, { rollout: row.id, decision, percent: placeOf(row.plan, row.state).percent }, now),
			);
		return isCommitted;
	} catch (error) {
		log("change_failed", { rollout: row.id, kind: decision.kind, error: nameOf(error) });
		await attempt("record_failure", () => recordFailure(given.db, row, decision.kind, nameOf(error), now));
		return false;
	}
}
