import type { Observation } from "../../core/health/observation";
import { placeOf } from "../../core/rollouts/command";
import { decide } from "../../core/rollouts/decide";
import { CALM, type ChecksFound } from "../../core/rollouts/circumstances";
import { type Change, change as changeOf, withReason } from "../../core/rollouts/decision";
import { printDuration } from "../../core/rollouts/duration";
import { isLive, isWaiting } from "../../core/rollouts/state";
import { advised } from "../../core/rollouts/advise";
import { checksFound, checksNow } from "../../core/rollouts/planChecks";
import { paused, rolledBack, unguarded } from "../../core/rollouts/transitions";
import { findingOf } from "../../core/health/environment";
import { LEASE_MS } from "../../core/wire";
import type { CheckDeps } from "../checks/finding";
import { log, nameOf } from "../log";
import { prune } from "../metrics/prune";
import type { MetricsSource } from "../metrics/source";
import type { Notifier } from "../notify/notifier";
import type { StepCaller } from "../notify/stepCaller";
import { pruneEdges } from "../store/edges";
import { recordEnvironments } from "../store/environmentChecks";
import { listEnvironments } from "../store/environments";
import { pruneCompared } from "../store/compared";
import { pruneProtections } from "../store/protections";
import { readHead, tickCompleted } from "../store/publication";
import { settingsIn } from "../store/settings";
import { leaveOutCorrupt } from "../store/rolloutChanges";
import { type StoredRollout, listActive } from "../store/rollouts";
import { pruneReports } from "../store/checkReports";
import { pruneResults } from "../store/checkResults";
import { type Held, pruneChecks, recordChecks, recordHolds } from "../store/rolloutHolds";
import { pruneDeliveries } from "../store/webhookDeliveries";
import { type Decided, apply } from "./apply";
import { type Governed, breakerOf, governedAt } from "./breakers";
import { check, knownResults, passesAfter } from "./check";
import { deliver } from "./deliver";
import { ENGINE } from "./engine";
import { followFull } from "./full";
import { observe } from "./observe";
import { type Publisher, publish } from "./publish";
import { oneTrial } from "./trial";
import { verify } from "./verify";

export interface Tick extends Publisher {
	readonly metrics: MetricsSource;
	readonly notifier: Notifier;
	readonly steps: StepCaller;
	readonly checks: CheckDeps;
}

const NOTHING_SEEN: Observation = { kind: "source_error", message: "no tick looked" };
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
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
	await attempt("full", async () => {
		const reason = "a full rollback of the environment";
		await followFull(given.db, { actor: ENGINE, reason, correlationId: `tick/${now}`, atMs: now }, given.realNow());
	});
	const unpublished = await publish(given);
	// Edges that took users back by themselves must not hear of a guard before they can have the body that says the same.
	const isWithheld = unguardedMs >= LAPSE_MS && unpublished.length > 0;
	if (isWithheld) log("guard_withheld", { unpublished });
	if (isGuarded && !isWithheld) await completed(given, now);
	await attempt("verify", () => verify({ ...given, passes: (followed) => passesAfter(given.checks, followed.rollout, now) }, now));
	// Last, since it waits for others; also of a tick that failed, which somebody may have to be told of.
	await attempt("deliver", () => deliver(given));
	if (isNext) await attempt("check", () => check(given.checks, now));
}

async function completed({ db, realNow }: Tick, now: number): Promise<void> {
	await tickCompleted(db, now, realNow());
	if (now % HOUR_MS >= MINUTE_MS) return;
	await attempt("prune", () => prune(db.$client, now, realNow()));
	await attempt("prune_checks", () => pruneChecks(db, now));
	await attempt("prune_check_results", () => pruneResults(db, now));
	await attempt("prune_check_reports", () => pruneReports(db, now));
	await attempt("prune_deliveries", () => pruneDeliveries(db, realNow()));
	await attempt("prune_edges", () => pruneEdges(db, realNow()));
	await attempt("prune_protections", () => pruneProtections(db, now));
	await attempt("prune_compared", () => pruneCompared(db, realNow()));
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
	const { rows, corrupt } = await listActive(given.db);
	for (const id of corrupt) log("rollout_corrupt", { rollout: id });
	await attempt("corrupt", () => leaveOutCorrupt(given.db, corrupt, now));
	const governed = await governedAt(given.db, now);
	const observations = rows.length > 0 ? await observe(given.metrics, rows, now) : new Map<string, Observation>();
	const checks = await checksAt(given.db, rows);
	const decidedAs = (row: StoredRollout, isTrial: boolean): Decided | undefined =>
		decideOne(row, { observation: observations.get(row.id), governed, unguardedMs, isTrial, checks }, now);
	const asTrials = rows.flatMap((row) => decidedAs(row, true) ?? []);
	const decided = oneTrial(asTrials, governed, (row) => decidedAs(row, false));
	const changes = decided.flatMap(({ row, observation, decision }) => (decision.kind === "hold" ? [] : [{ row, observation, decision }]));
	const unwritten = await apply(given.db, changes, now, given.realNow);
	const unpaused = unwritten.filter(({ decision }) => decision.reason === "unguarded").length;
	const held = decided.flatMap(({ row, decision }): Held[] =>
		decision.kind === "hold" ? [{ row, hold: decision, percent: percentOf(row) }] : [],
	);
	await recordHolds(given.db, held, now);
	const made = changes.filter((each) => !unwritten.some(({ row }) => row.id === each.row.id));
	await attempt("record_checks", () =>
		recordChecks(
			given.db,
			made.map(({ row, decision }) => ({ rollout: row.id, decision, percent: percentOf(row) })),
			now,
		),
	);
	await attempt("environment_checks", () => checkEnvironments(given.db, decided, governed, now));
	// The lapse goes on, and so do the edges' retreats, until each of them is a state.
	if (unpaused > 0) throw new Error(`${unpaused} unguarded rollouts could not be paused`);
}

const percentOf = ({ plan, state }: StoredRollout): number => placeOf(plan, state).percent;

async function checkEnvironments(db: Tick["db"], decided: readonly Decided[], governed: Governed, now: number): Promise<void> {
	const of = Map.groupBy(decided, ({ row }) => row.environment);
	const found = (await listEnvironments(db)).map((environment) => {
		const rollouts = (of.get(environment) ?? []).map(({ row, decision }) => ({
			id: row.id,
			level: decision.judgement?.level ?? ("unknown" as const),
			score: decision.judgement?.score ?? null,
		}));
		return [environment, findingOf(rollouts, breakerOf(governed, environment))] as const;
	});
	await recordEnvironments(db, found, now);
}

/**
 * The first tick after a lapse judges nothing: what happened meanwhile was seen by nobody, and a person should look. One that
 * was paused before stays as it is, unless the edges have moved its users too.
 */
function leaseLost(row: StoredRollout, unguardedMs: number, now: number): Decided | undefined {
	const { plan, state } = row;
	if (unguardedMs < LAPSE_MS || !isLive(state)) return undefined;
	if (state.status === "rolling_back") return broughtToItsEnd(row, now, `unguarded for ${printDuration(unguardedMs)}`);
	const retreats = plan.on_control_loss === "retreat";
	if (state.status === "paused" && (!retreats || state.retreated)) return undefined;
	const message = `unguarded: no tick for ${printDuration(unguardedMs)} > ${printDuration(LAPSE_MS)}${retreats ? ", users went back to the baseline" : ""}`;
	const stopped = unguarded(plan, state, now, ENGINE, message);
	const alerts = [{ severity: "page" as const, kind: "unguarded" as const, message }];
	const decision: Change = { kind: "pause", reason: "unguarded", message, state: stopped, judgement: null, alerts };
	return { row, observation: NOTHING_SEEN, decision };
}

/** What the tick knows of a rollout besides its row. */
interface Found {
	readonly observation: Observation | undefined;
	readonly governed: Governed;
	readonly unguardedMs: number;
	readonly isTrial: boolean;
	readonly checks: (row: StoredRollout) => ChecksFound;
}

/** One that cannot be judged is paused and reported, and never stops the others. */
function decideOne(row: StoredRollout, found: Found, now: number): Decided | undefined {
	const { observation, governed, isTrial } = found;
	try {
		const lapsed = leaseLost(row, found.unguardedMs, now);
		if (lapsed) return lapsed;
		const seen = isWaiting(row.state) ? NOTHING_SEEN : observation;
		if (!seen) throw new Error("nothing could be asked about it");
		const breaker = breakerOf(governed, row.environment);
		const taken = decide(row.plan, row.state, seen, now, { breaker, isTrial, checks: found.checks(row) });
		const { automation } = settingsIn(governed.settings, row.environment).settings;
		// What waits to begin was started by a person.
		const decision = automation === "advise" && !isWaiting(row.state) ? advised(taken, row.state) : taken;
		return decision.kind === "none" ? undefined : { row, observation: seen, decision };
	} catch (error) {
		log("rollout_failed", { rollout: row.id, error: nameOf(error) });
		if (row.state.status === "rolling_back") return broughtToItsEnd(row, now, "the way back could not be followed");
		if (row.state.status !== "running" && row.state.status !== "awaiting_approval") return undefined;
		const message = "the rollout could not be judged: see rollout_failed in the log";
		const state = paused({ ...row.state, watch: { ...row.state.watch, tickedAtMs: now } }, now, ENGINE, message);
		const alerts = [{ severity: "page" as const, kind: "engine_error" as const, message }];
		return {
			row,
			observation: observation ?? NOTHING_SEEN,
			decision: { kind: "pause", reason: "engine_error", message, state, judgement: null, alerts },
		};
	}
}

/** A way back that cannot go on step by step ends at once. */
function broughtToItsEnd(row: StoredRollout, now: number, why: string): Decided | undefined {
	if (row.state.status !== "rolling_back") return undefined;
	const message = withReason(`${why}, so everybody is back at once`, row.state.reason);
	const state = rolledBack(row.state, now, ENGINE, message);
	return { row, observation: NOTHING_SEEN, decision: { ...changeOf("roll_back", "engine_error", message, state), strategy: "gradual" } };
}

/** What cannot be read has not passed. */
async function checksAt(db: Tick["db"], rows: readonly StoredRollout[]): Promise<(row: StoredRollout) => ChecksFound> {
	try {
		const known = await knownResults(db, rows);
		return ({ id, plan, state }) => {
			const matter = checksNow(plan, state);
			return matter ? checksFound(matter, known.get(id) ?? []) : CALM.checks;
		};
	} catch (error) {
		log("checks_not_read", { error: nameOf(error) });
		return ({ plan, state }) => ({ failed: null, pending: checksNow(plan, state) ? "the results of its checks could not be read" : null });
	}
}
