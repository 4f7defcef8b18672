import * as z from "zod";
import { LEASE_MS } from "../../core/wire";
import { type Detail, type EdgesStatus, type SystemStatus, known } from "../answers";
import { age } from "../output";

/** What is found of a setup, judged: pure. */

export interface Check {
	readonly name: string;
	readonly status: "ok" | "warn" | "fail";
	readonly message: string;
	/** What to do about it; absent where it is ok. */
	readonly advice?: string;
}

const ok = (name: string, message: string): Check => ({ name, status: "ok", message });
const warn = (name: string, message: string, advice: string): Check => ({ name, status: "warn", message, advice });
const fail = (name: string, message: string, advice: string): Check => ({ name, status: "fail", message, advice });

/** A probe's answer, or why there was none. */
export type Probe =
	| {
			readonly kind: "answered";
			readonly status: number;
			readonly body: unknown;
			readonly dateMs: number | null;
			readonly tookMs: number;
			readonly atMs: number;
	  }
	| { readonly kind: "unanswered"; readonly message: string };

const TICK_WARN_MS = 180_000;
const SLOW_MS = 2_000;
const SKEW_WARN_MS = 5_000;
const SKEW_FAIL_MS = 60_000;
/** Above it an alert is raised as well. */
const UNATTRIBUTED_SHARE_MAX = 0.05;
/** From here on the edge itself says STALE. */
const HEAD_STALE_MS = 25_000;

export function controlCheck(probe: Probe, url: string): Check {
	const name = "control";
	if (probe.kind === "unanswered")
		return fail(
			name,
			`${url} ${probe.message}`,
			"edges go on with what they have; if a flag must go meanwhile: docs/runbooks/break-glass.md",
		);
	const { status, reason } = readiness(probe.body);
	if (probe.status !== 200 || status !== "ready")
		return fail(
			name,
			`${url} is not ready: ${reason ?? `status ${probe.status}`}`,
			reason === undefined ? "is this control's URL?" : "do what it says, then look again",
		);
	const took = `${Math.round(probe.tookMs)} ms`;
	return probe.tookMs > SLOW_MS
		? warn(name, `${url} is ready, after ${took}`, "slow: look at D1's latency in Cloudflare's dashboard")
		: ok(name, `${url} is ready (${took})`);
}

export function clockChecks(probe: Probe): Check[] {
	if (probe.kind === "unanswered") return [];
	if (probe.dateMs === null) return [ok("clock", "not compared: control's answers have no date, which only a local instance's lack")];
	// The header has whole seconds, and stands for the middle of one.
	const skewMs = probe.atMs - (probe.dateMs + 500);
	const beyond = Math.max(0, Math.abs(skewMs) - probe.tookMs / 2 - 500);
	const said =
		beyond === 0
			? "this machine's clock agrees with control's"
			: `this machine's clock is ${age(beyond)} ${skewMs > 0 ? "ahead of" : "behind"} control's`;
	const advice = "set it by NTP: ages shown here are wrong by as much, and so is the time of events that are sent with `at`";
	if (beyond > SKEW_FAIL_MS) return [fail("clock", said, advice)];
	return [beyond > SKEW_WARN_MS ? warn("clock", said, advice) : ok("clock", said)];
}

export function systemChecks(system: SystemStatus): Check[] {
	return [
		tickCheck(system),
		publicationCheck(system),
		rolloutCheck(system),
		breakerCheck(system),
		...breakGlassChecks(system),
		alertCheck(system),
	];
}

const notKnown = (name: string, what: string): Check =>
	warn(name, `${what} could not be read in time`, "look again; control's log has the cause as status_part_unavailable");

function tickCheck({ tick }: SystemStatus): Check {
	const found = known(tick);
	if (!found) return notKnown("tick", "the last tick");
	const { lastTickAgeMs } = found;
	if (lastTickAgeMs === null)
		return warn(
			"tick",
			"there was none yet",
			"cron may take 15 minutes after the first deployment; then look at the Worker's triggers in Cloudflare's dashboard",
		);
	const said = `the last was ${age(lastTickAgeMs)} ago`;
	const advice = "nothing is judged and nothing advances meanwhile: look at the cron trigger of control, and at its log";
	if (lastTickAgeMs >= LEASE_MS) return fail("tick", `${said}: nobody guards the rollouts`, advice);
	return lastTickAgeMs > TICK_WARN_MS ? warn("tick", said, advice) : ok("tick", said);
}

function publicationCheck({ publications }: SystemStatus): Check {
	const pending = known(publications)?.pending;
	if (!pending) return notKnown("publications", "pending publications");
	return pending.length > 0
		? warn(
				"publications",
				`pending: ${pending.join(", ")}`,
				"tried again each minute; if it lasts, publish_failed in control's log says why (mostly KV)",
			)
		: ok("publications", "nothing is pending");
}

function rolloutCheck({ rollouts }: SystemStatus): Check {
	const found = known(rollouts);
	if (!found) return notKnown("rollouts", "live rollouts");
	const { awaitingApproval = 0, rollingBack = 0 } = found;
	const more = `${awaitingApproval > 0 ? `, ${awaitingApproval} awaiting approval` : ""}${rollingBack > 0 ? `, ${rollingBack} rolling back` : ""}`;
	const said = `${found.running} running, ${found.paused} paused${more}`;
	if (found.damaged.length > 0)
		return fail("rollouts", `${said}; cannot be read: ${found.damaged.join(", ")}`, "nobody judges them: tidegate rollout rollback <id>");
	return found.paused > 0
		? warn("rollouts", said, "a paused rollout goes on being served and does not advance: tidegate rollout list --status paused")
		: ok("rollouts", said);
}

function breakerCheck({ breaker }: SystemStatus): Check {
	const found = known(breaker);
	if (!found) return notKnown("breaker", "the breaker");
	if (found.state === "closed") return ok("breaker", "closed");
	const { rollbacks, within } = found.settings;
	const many = `after ${rollbacks === 1 ? "an automatic rollback" : `${rollbacks} or more automatic rollbacks`} within ${within}`;
	const advice = "find what they have in common; once it is mended: tidegate breaker reset --reason …";
	return found.state === "open"
		? warn("breaker", `open ${many}: nothing advances by itself`, advice)
		: warn("breaker", `half open ${many}: one rollout at a time advances by itself`, advice);
}

/** Nothing is told where there is none, which is the rule. */
function breakGlassChecks({ breakGlass }: SystemStatus): Check[] {
	const name = "break-glass";
	const found = breakGlass === undefined ? null : known(breakGlass);
	if (found === undefined) return [notKnown(name, "what may be overridden by hand")];
	if (found === null) return [];
	const advice = "once control has taken over: docs/runbooks/break-glass.md says how to take it away";
	if (!found.isUsable) return [warn(name, "what was written by hand is not of its form: edges ignore it", advice)];
	const said = [
		...(found.kill.length > 0 ? [`kills ${found.kill.join(", ")}`] : []),
		...(found.baseline.length > 0 ? [`${found.baseline.join(", ")} on the baseline`] : []),
	];
	return said.length === 0 ? [] : [warn(name, `written by hand, whatever control says: ${said.join("; ")}`, advice)];
}

function alertCheck({ alerts }: SystemStatus): Check {
	const found = known(alerts);
	if (!found) return notKnown("alerts", "alerts");
	const active = found.filter((each) => each.active);
	if (active.length === 0) return ok("alerts", "none holds");
	const said = active
		.map(({ rollout, kind, message }) => `${rollout}: ${message.startsWith(kind) ? message : `${kind}: ${message}`}`)
		.join("; ");
	return warn("alerts", said, "docs/runbooks/rollback.md says what to look at");
}

/** The share of outcomes that the last tick could not attribute, since their context lacked what the flags' rules look at. */
export function attributionChecks(live: readonly Pick<Detail, "id" | "health">[]): Check[] {
	const found = live.flatMap(({ id, health }) => {
		const { events = 0, of = 0 } = health?.judgement?.unattributed ?? {};
		return of > 0 ? [{ id, share: events / of }] : [];
	});
	const bad = found.filter(({ share }) => share > UNATTRIBUTED_SHARE_MAX);
	const print = (of: typeof found): string => of.map(({ id, share }) => `${id} ${(share * 100).toFixed(1)} %`).join(", ");
	if (bad.length > 0)
		return [
			warn(
				"attribution",
				`outcomes that count for nothing: ${print(bad)}`,
				"send the attributes that the flags' rules look at in the events' context",
			),
		];
	return live.length === 0
		? []
		: [ok("attribution", found.length > 0 ? `outcomes that count for nothing: ${print(found)}` : "no outcomes in the last tick")];
}

/** What the edge's isolates have said of themselves to control. One that nobody asks hears of a new head with its next request, before it answers. */
export function isolatesCheck({ isolates, colos, behind, headRevision, oldestRevision }: EdgesStatus): Check {
	const name = "isolates";
	if (isolates === 0) return ok(name, "none was heard of in 2 minutes: nobody asks the edge for flags");
	const where = `${isolates} in ${colos} ${colos === 1 ? "colo" : "colos"}`;
	return ok(
		name,
		behind === 0 || oldestRevision === null
			? `${where}, all at revision ${headRevision}`
			: `${where}, ${behind} not at revision ${headRevision} yet: the oldest is at ${oldestRevision}`,
	);
}

export function edgeChecks(probe: Probe | undefined, url: string | undefined, environment: string): Check[] {
	const name = "edge";
	if (!probe || url === undefined)
		return [warn(name, "not looked at: its URL is not known", "--edge <url>, TIDEGATE_EDGE_URL, or tidegate login <url> --edge <url>")];
	if (probe.kind === "unanswered") return [fail(name, `${url} ${probe.message}`, "is it deployed, and is that its URL?")];
	const { status, reason, events, environments } = readiness(probe.body);
	if (probe.status !== 200 || status !== "ready")
		return [
			fail(
				name,
				`${url} is not ready: ${reason ?? `status ${probe.status}`}`,
				reason === undefined ? "is this the edge's URL?" : "look at control first: the edge gets everything from there",
			),
		];
	const own = environments?.[environment];
	return [
		ok(name, `${url} is ready (${Math.round(probe.tookMs)} ms)`),
		own === undefined
			? warn(
					"head",
					`the edge knows no ${environment} yet`,
					"it comes with the environment's first publication: create a flag, or wait for a tick",
				)
			: headCheck(own),
		...(events === undefined || events === "ready"
			? []
			: [warn("events", events, "outcomes are refused until then: wrangler secret put USER_HASH_KEY")]),
	];
}

function headCheck({ version, ageMs }: { version?: unknown; ageMs?: unknown }): Check {
	const said = `snapshot ${String(version)}`;
	if (typeof ageMs !== "number")
		return warn(
			"head",
			`${said}, from KV: control has not confirmed it to this isolate`,
			"is the edge's service binding HEAD bound to this control?",
		);
	return ageMs > HEAD_STALE_MS
		? warn(
				"head",
				`${said}, confirmed ${age(ageMs)} ago: answers say STALE`,
				"the edge cannot reach control: kills and rollbacks do not arrive there",
			)
		: ok("head", `${said}, confirmed ${age(ageMs)} ago`);
}

const readinessBody = z.looseObject({
	status: z.string(),
	reason: z.string().optional(),
	events: z.string().optional(),
	environments: z.record(z.string(), z.looseObject({ version: z.unknown(), ageMs: z.unknown() })).optional(),
});

/** Whatever it was that answered. */
function readiness(body: unknown): Partial<z.infer<typeof readinessBody>> {
	return readinessBody.safeParse(body).data ?? {};
}
