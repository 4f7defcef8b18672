import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { CheckResult } from "../../core/checks/result";
import { type FieldError, flagKey, instant } from "../../core/flags/model";
import { parseInstant } from "../../core/flags/instant";
import { COMMANDS, type Command, type CommandKind, command } from "../../core/rollouts/command";
import { durationMs } from "../../core/rollouts/duration";
import { duration } from "../../core/rollouts/durationField";
import { type Plan, phaseName } from "../../core/rollouts/plan";
import { isActive, isLive } from "../../core/rollouts/state";
import type { WayBackWanted } from "../../core/rollouts/takeBack";
import { STRATEGIES } from "../../core/rollouts/wayBack";
import { log, nameOf } from "../log";
import { followFull } from "../tick/full";
import type { Act } from "../store/audit";
import { resultsOf } from "../store/checkResults";
import type { Database } from "../store/database";
import { TRIES } from "../store/emergency";
import type { StoredFlag } from "../store/flags";
import { cancelDamagedDraft } from "../store/damagedDrafts";
import { type Keyed, keptText } from "../store/idempotency";
import { damagedOr } from "../store/json";
import { commitChange, rollBackDamaged } from "../store/rolloutChanges";
import { flagWrites } from "../store/rolloutFlags";
import { activeRolloutsOf, eventByKey, getDamaged, getRollout, latestCheck, launchOf } from "../store/rollouts";
import { checkedPlan } from "./checkedPlan";
import { type ApiEnv, actOf, body, json, publishBehind, reason, refusals, resource } from "./context";
import { REPLAYED, idempotencyKey, keyedBy } from "./idempotency";
import { unknownIn } from "./namedInRollback";
import { orRefuse, refuse } from "./refusals";
import { detail, detailAfter } from "./rolloutAnswers";

const params = z.object({ id: flagKey });

const sent = z.strictObject({
	command: z.enum(COMMANDS),
	reason,
	at: instant.optional().describe("start: when; default now"),
	fromPhase: z.string().max(63).optional().describe("start: the phase to begin with, by name or number"),
	manual: z.boolean().optional().describe("start: nothing advances by itself"),
	force: z.boolean().optional().describe("advance: past whatever holds it back; takes an admin and a reason"),
	duration: duration.optional().describe("extend: by how much"),
	strategy: z.enum(STRATEGIES).optional().describe("roll_back: default immediate"),
	stages: z.array(z.number().min(0).max(100)).min(1).max(20).optional().describe("roll_back gradual: percents of users"),
	flags: z.array(flagKey).min(1).max(50).optional().describe("roll_back feature: which go back"),
	keys: z.array(z.string().min(1).max(1_000)).min(1).max(1_000).optional().describe("roll_back targeted: who goes back"),
	segments: z.array(flagKey).min(1).max(20).optional().describe("roll_back targeted: who goes back"),
	versions: z.record(flagKey, z.int().min(1)).optional().describe("roll_back version: flag → the version it gets back"),
});
type Given = z.infer<typeof sent>;

const BELONGS: Readonly<Record<Exclude<keyof Given, "command" | "reason">, CommandKind>> = {
	at: "start",
	fromPhase: "start",
	manual: "start",
	force: "advance",
	duration: "extend",
	strategy: "roll_back",
	stages: "roll_back",
	flags: "roll_back",
	keys: "roll_back",
	segments: "roll_back",
	versions: "roll_back",
};
const NEEDS = { stages: "gradual", flags: "feature", keys: "targeted", segments: "targeted", versions: "version" } as const;

const EXAMPLES: Readonly<Record<string, { readonly summary: string; readonly value: Partial<Given> }>> = {
	start: { summary: "from the first phase, now", value: { command: "start", reason: "approved in #412" } },
	scheduled: {
		summary: "later, from another phase, and nothing advances by itself",
		value: { command: "start", at: "2026-03-01T08:00:00Z", fromPhase: "phase_2", manual: true, reason: "after the freeze" },
	},
	approve: { summary: "the phase that waits for it", value: { command: "approve", reason: "looks well" } },
	reject: { summary: "pauses; before the first phase it is a draft again", value: { command: "reject", reason: "support is not ready" } },
	advance: { summary: "to the next phase now", value: { command: "advance", reason: "checked by hand" } },
	forced: { summary: "past what holds it back, as an admin", value: { command: "advance", force: true, reason: "false alarm, see #418" } },
	extend: { summary: "the present phase by two hours", value: { command: "extend", duration: "2h", reason: "low traffic" } },
	pause: { summary: "users keep what they have", value: { command: "pause", reason: "holiday" } },
	resume: { summary: "also from the way back, at no more than is served still", value: { command: "resume", reason: "mended" } },
	cancel: { summary: "what is live goes back to the baseline", value: { command: "cancel", reason: "replaced by #420" } },
	roll_back: { summary: "everybody, at once", value: { command: "roll_back", reason: "cards are refused" } },
	gradual: { summary: "by stages", value: { command: "roll_back", strategy: "gradual", stages: [75, 50, 0], reason: "cold caches" } },
	feature: {
		summary: "one flag, the others go on",
		value: { command: "roll_back", strategy: "feature", flags: ["new-cart"], reason: "slow" },
	},
	targeted: {
		summary: "some users, the others go on",
		value: { command: "roll_back", strategy: "targeted", keys: ["ann"], segments: ["resellers"], reason: "their contract" },
	},
	version: {
		summary: "and the flags as they were",
		value: { command: "roll_back", strategy: "version", versions: { "new-checkout": 3 }, reason: "wrong rule" },
	},
};

/** On answers; unchanged: there was nothing left to do, since everybody was back before. */
const TOLD = { done: {}, repeated: REPLAYED, unchanged: { "rollout-unchanged": "true" } };

export const rolloutCommands = resource();

rolloutCommands.openapi(
	createRoute({
		method: "post",
		path: "/{id}/commands",
		summary: "Start, approve, reject, pause, resume, advance, extend, roll back or cancel",
		description:
			"A rollback is served at the edge within 10 s of this answer: users go back to the baseline. With an Idempotency-Key a command that may have been carried out can be sent again: it is carried out once. Where a rollback finds everybody back already, `rollout-unchanged: true` says so.",
		request: {
			params,
			headers: idempotencyKey,
			...body(sent, EXAMPLES),
		},
		responses: { 200: { description: "done", ...json(detail) }, ...refusals(400, 401, 403, 404, 409, 413, 415, 422) },
	}),
	async (c) => {
		const { db, realNow } = c.get("deps");
		const wanted = c.req.valid("json");
		const errors = misplaced(wanted);
		if (errors.length > 0) refuse({ kind: "invalid", errors });
		const { id } = c.req.valid("param");
		const keyed = await keyedBy(c.req.valid("header")["idempotency-key"], wanted);
		const act = actOf(c, wanted.reason);
		const isWayBack = wanted.command === "roll_back" || wanted.command === "cancel";
		for (let tries = 1; ; tries++) {
			// oxlint-disable-next-line no-await-in-loop -- a way back that lost against a tick is tried again on what that left
			const outcome = await carryOut(db, id, wanted, { act, keyed, isAdmin: c.get("caller").role === "admin" }, realNow());
			if (outcome === "lost" && isWayBack && tries < TRIES) continue;
			if (outcome === "lost") refuse({ kind: "changed_meanwhile" });
			// oxlint-disable-next-line no-await-in-loop -- comes with the end
			if (outcome !== "repeated" && wanted.strategy === "full") await othersBack(c);
			if (outcome !== "repeated") publishBehind(c);
			return c.json(await detailAfter(db, id, act.atMs), 200, TOLD[outcome]);
		}
	},
);

/** Of a full rollback; what could not be taken back here is by the next tick. */
async function othersBack(c: Context<ApiEnv>): Promise<void> {
	const { db, realNow } = c.get("deps");
	const act = actOf(c, "a full rollback of the environment");
	await followFull(db, act, realNow()).catch((error: unknown) => log("full_rollback_left", { error: nameOf(error) }));
}

/** Fields that say something of another command, or of another way back. */
function misplaced(wanted: Given): FieldError[] {
	const named = (Object.keys(BELONGS) as (keyof typeof BELONGS)[]).filter((field) => wanted[field] !== undefined);
	const { command: kind, strategy = "immediate" } = wanted;
	const errors = named.flatMap((field): FieldError[] => {
		if (BELONGS[field] !== kind) return [{ pointer: `/${field}`, message: `belongs to ${BELONGS[field]}, not to ${kind}` }];
		const needed = NEEDS[field as keyof typeof NEEDS];
		return needed !== undefined && needed !== strategy ? [{ pointer: `/${field}`, message: `belongs to the strategy ${needed}` }] : [];
	});
	if (kind === "extend" && wanted.duration === undefined)
		errors.push({ pointer: "/duration", message: 'is required: by how much, as in "2h"' });
	if (strategy === "feature" && wanted.flags === undefined) errors.push({ pointer: "/flags", message: "is required: which flags go back" });
	const stages = wanted.stages ?? [];
	if (stages.some((stage, i) => i > 0 && stage >= (stages[i - 1] ?? 0)))
		errors.push({ pointer: "/stages", message: "go down from each to the next" });
	return errors;
}

interface Sender {
	readonly act: Act;
	readonly keyed?: Keyed | undefined;
	readonly isAdmin: boolean;
}

/** The sender's clock and ours. */
const CLOCKS_DIFFER_MS = 60_000;

type Carried = "done" | "repeated" | "unchanged" | "lost";

export async function carryOut(db: Database, id: string, wanted: Given, sender: Sender, realNow: number): Promise<Carried> {
	const { command: kind } = wanted;
	const { act, keyed } = sender;
	// Read before the key is looked for: whatever its twin does after that, this one loses against.
	const row = await getRollout(db, id).catch(damagedOr(undefined));
	if (await isRepeated(db, id, kind, keyed)) return "repeated";
	if (!row) return carryOutDamaged(db, id, kind, act, realNow);
	// What a person in need asked for twice, or a tick did first, is done.
	if (kind === "roll_back" && row.state.status === "rolled_back") return "unchanged";
	const unknown = kind === "roll_back" && isLive(row.state) ? await unknownIn(db, row, row.state, wayBackOf(wanted)) : [];
	if (unknown.length > 0) refuse({ kind: "invalid", errors: unknown });
	const isStart = kind === "start" && row.state.status === "draft";
	if (wanted.at !== undefined && (parseInstant(wanted.at) ?? act.atMs) < act.atMs - CLOCKS_DIFFER_MS)
		refuse({ kind: "invalid", errors: [{ pointer: "/at", message: "is in the past: leave it out to start now" }] });
	const held = isStart ? await checkedPlan(db, row.plan, true) : [];
	const launch = isStart ? await launchOf(db, row, act.atMs) : 1;
	const results = kind === "advance" && isLive(row.state) ? await knownOf(db, id, row.state.stage) : [];
	const change = orRefuse(
		command(row.plan, row.state, { ...commandOf(row.plan, wanted, sender, { launch, author: row.author, held }), results }, act.atMs),
	);
	const isCommitted = await commitChange(db, {
		row,
		...(await flagWrites(db, row, change)),
		act,
		realNow,
		evidence: isLive(row.state) ? { health: (await latestCheck(db, row.id)) ?? null } : null,
		held,
		idempotencyKey: keyed && keptText(keyed),
	});
	if (isCommitted) return "done";
	const [active] = isStart ? await activeRolloutsOf(db, row.environment, row.plan.flags) : [];
	if (active && active.rollout !== row.id) refuse({ kind: "flag_active", flag: active.flag, rollout: active.rollout });
	return (await isRepeated(db, id, kind, keyed)) ? "repeated" : "lost";
}

/** What checks have found in that stage. */
async function knownOf(db: Database, rollout: string, stage: number): Promise<readonly CheckResult[]> {
	return (await resultsOf(db, [{ rollout, stage }])).get(rollout) ?? [];
}

async function isRepeated(db: Database, id: string, kind: CommandKind, keyed: Keyed | undefined): Promise<boolean> {
	const earlier = keyed && (await eventByKey(db, id, keyed.key));
	if (!earlier) return false;
	const isTheSame = earlier.hash === undefined ? isSame(kind, earlier.kind) : earlier.hash === keyed.hash;
	if (!isTheSame) refuse({ kind: "idempotency_key_used", by: earlier.kind });
	return true;
}

/** Whether an event of that kind is what the command led to. */
function isSame(kind: CommandKind, event: string): boolean {
	const LEADS_TO: Partial<Record<CommandKind, readonly string[]>> = {
		start: ["start", "schedule", "validate"],
		advance: ["advance", "complete"],
		roll_back: ["roll_back", "begin_rollback", "drop_flags", "exclude"],
	};
	return (LEADS_TO[kind] ?? [kind]).includes(event);
}

function commandOf(
	plan: Plan,
	wanted: Given,
	{ act, isAdmin }: Sender,
	of: { readonly launch: number; readonly author: string; readonly held: readonly StoredFlag[] },
): Command {
	const { command: kind, at, fromPhase, manual, force } = wanted;
	return {
		kind,
		by: act.actor,
		reason: act.reason,
		launch: of.launch,
		author: of.author,
		versions: Object.fromEntries(of.held.map(({ key, version }) => [key, version])),
		startsAtMs: at === undefined ? undefined : parseInstant(at),
		fromPhase: fromPhase === undefined ? undefined : phaseIndex(plan, fromPhase),
		manual,
		force,
		isAdmin,
		extendMs: wanted.duration === undefined ? undefined : durationMs(wanted.duration),
		wayBack: wayBackOf(wanted),
	};
}

function wayBackOf({ strategy = "immediate", stages, flags, keys, segments, versions }: Given): WayBackWanted {
	return { strategy, stages, flags, keys, segments, versions };
}

/** By its name, or counted from 1; one that there is not is refused by the command. */
function phaseIndex(plan: Plan, given: string): number {
	const named = plan.phases.findIndex((_, i) => phaseName(plan, i) === given);
	return named >= 0 ? named : /^\d{1,2}$/.test(given) ? Number(given) - 1 : -1;
}

/** A row that nobody can read can still be ended; everything else needs it whole. */
async function carryOutDamaged(db: Database, id: string, kind: CommandKind, act: Act, realNow: number): Promise<Carried> {
	const row = (await getDamaged(db, id)) ?? refuse({ kind: "not_found", what: `rollout ${id}` });
	if (kind !== "roll_back" && kind !== "cancel") refuse({ kind: "rollout_damaged", id });
	// Nobody is served by it any more, whichever of the two it was.
	if (row.status === "rolled_back" || row.status === "cancelled") return "unchanged";
	if (row.status === "draft" && kind === "cancel") return (await cancelDamagedDraft(db, row, act, realNow)) ? "done" : "lost";
	if (!isActive({ status: row.status } as Parameters<typeof isActive>[0])) refuse({ kind: "rollout_damaged", id });
	return (await rollBackDamaged(db, row, act, realNow)) ? "done" : "lost";
}
