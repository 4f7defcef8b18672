import { describe, expect, test } from "vitest";
import type { CheckResult } from "../../../core/checks/result";
import { type Command, command, printRefusal } from "../../../core/rollouts/command";
import { decide } from "../../../core/rollouts/decide";
import { type LiveState, type RolloutState, isLive } from "../../../core/rollouts/state";
import { awaitingApproval } from "../../../core/rollouts/transitions";
import { MINUTE_MS, NOW_MS, aPhase, aPlan, aState, anEvidence } from "./fixtures";

const DAY_MS = 86_400_000;
const plan = aPlan({
	phases: [aPhase({ percent: 5 }), aPhase({ percent: 20, approval: { approvers: 2 } }), aPhase({ percent: 100, approval: "manual" })],
});
const approvedBy = (...names: readonly string[]) => names.map((by) => ({ by, atMs: 0, reason: "" }));
const asked = (...names: readonly string[]): LiveState =>
	awaitingApproval(aState({ author: "ben", approvals: approvedBy(...names) }, plan), NOW_MS - MINUTE_MS);

function told(state: RolloutState, change: Partial<Command>, of = plan) {
	return command(of, state, { kind: "approve", by: "anna", reason: "looked", launch: 1, ...change }, NOW_MS);
}

function after(state: RolloutState, ...changes: readonly Partial<Command>[]): LiveState {
	for (const change of changes) {
		const result = told(state, change);
		if (!result.ok) throw new Error(printRefusal(result.error));
		({ state } = result.value);
	}
	if (!isLive(state)) throw new Error(state.status);
	return state;
}

test("a phase that has shown enough asks, and serves what it served", () => {
	const decision = decide(plan, aState({}, plan), anEvidence(), NOW_MS);
	expect(decision).toMatchObject({
		kind: "await_approval",
		reason: "approval_needed",
		message: "phase_2 (20 %) needs 2 approvals, 0 so far: nothing else is in its way",
		state: { status: "awaiting_approval", phase: 0, stage: 1, askedAtMs: NOW_MS },
	});
});

test("nobody is asked before everything else is there", () => {
	expect(decide(plan, aState({ watch: { heldMs: 0 } }, plan), anEvidence(), NOW_MS)).toMatchObject({
		kind: "hold",
		reason: "hold_not_served",
	});
});

test("with as many approvals as it takes the next tick advances, and the phase after that starts with none", () => {
	const one = after(asked(), { by: "anna" });
	expect(decide(plan, one, anEvidence(), NOW_MS)).toMatchObject({ kind: "hold", reason: "awaiting_approval" });
	const two = after(one, { by: "carl" });
	expect(decide(plan, two, anEvidence(), NOW_MS)).toMatchObject({ kind: "advance", state: { status: "running", phase: 1, approvals: [] } });
});

test("an approval is no evidence: what does not hold any more holds it back", () => {
	const suspicious = { ...asked("anna", "carl"), watch: aState({ guard: { e: 6 } }, plan).watch };
	expect(decide(plan, suspicious, anEvidence(), NOW_MS)).toMatchObject({ kind: "hold", reason: "suspected_harm" });
});

test("harm is rolled back while people are asked", () => {
	const harmed = { ...asked("anna", "carl"), watch: aState({ guard: { e: 81 } }, plan).watch };
	expect(decide(plan, harmed, anEvidence(), NOW_MS)).toMatchObject({ kind: "roll_back", reason: "harm_proven" });
});

test.each<[string, RolloutState, string, string]>([
	["the plan's author", asked(), "ben", "author"],
	["whoever has approved it already", asked("anna"), "anna", "twice"],
	["one more than it takes", asked("anna", "carl"), "dora", "none_needed"],
])("%s is refused", (_, state, by, why) => expect(told(state, { by })).toEqual({ ok: false, error: { kind: "approval_refused", why } }));

describe("a rejection", () => {
	test("pauses where it is, and says why", () => {
		expect(after(asked("carl"), { kind: "reject", reason: "not today" })).toMatchObject({
			status: "paused",
			phase: 0,
			reason: "rejected: not today",
		});
	});

	test("takes the approvals with it: whoever gave one has to look again", () => {
		const again = after(asked("carl"), { kind: "reject" }, { kind: "resume" });
		expect(again.approvals).toEqual([]);
		expect(decide(plan, again, anEvidence(), NOW_MS)).toMatchObject({ kind: "await_approval", state: { approvals: [] } });
	});
});

test("a pause keeps the approvals", () => {
	expect(after(asked("carl"), { kind: "pause" }, { kind: "resume" }).approvals).toHaveLength(1);
});

describe("whoever advances it", () => {
	test("is refused without the approvals, and told how many there are", () => {
		const result = told(asked("carl"), { kind: "advance" });
		expect(result.ok ? "" : printRefusal(result.error)).toBe(
			"phase_2 (20 %) needs 2 approvals, 1 so far; an admin can force it, with a reason",
		);
	});

	test("may with them", () => {
		expect(after(asked("carl", "dora"), { kind: "advance" })).toMatchObject({ phase: 1, approvals: [] });
	});

	test("may force it as an admin with a reason, and not otherwise", () => {
		const forced = { kind: "advance", force: true } as const;
		expect(told(asked(), forced)).toMatchObject({ error: { kind: "force_refused", why: "admin" } });
		expect(told(asked(), { ...forced, isAdmin: true, reason: " " })).toMatchObject({ error: { kind: "force_refused", why: "reason" } });
		expect(told(asked(), { ...forced, isAdmin: true })).toMatchObject({
			value: { kind: "advance", message: "forced: looked", state: { phase: 1 } },
		});
	});

	test("past a guard that suspects harm is refused, whatever the approvals", () => {
		const state = { ...asked("carl", "dora"), watch: aState({ guard: { e: 6 } }, plan).watch };
		expect(told(state, { kind: "advance" })).toMatchObject({ error: { kind: "advance_refused", message: "harm is suspected: E = 6 ≥ 5" } });
	});

	test("past what the engine would roll back where it only advises is refused", () => {
		const state = aState({ watch: { alerting: ["would_roll_back.page"] } }, aPlan());
		expect(told(state, { kind: "advance" }, aPlan())).toMatchObject({ error: { kind: "advance_refused" } });
		expect(told(state, { kind: "advance", force: true, isAdmin: true }, aPlan())).toMatchObject({ ok: true });
	});

	describe("needs the critical checks to have passed", () => {
		const http = "https://origin.example/health";
		const checked = aPlan({
			checks: [
				{ name: "load", http, every: "1h" },
				{ name: "hints", http, when: "during", critical: false },
			],
			phases: [
				aPhase({ percent: 5 }),
				aPhase({ percent: 20, checks: [{ name: "second", manual: "look at it" }] }),
				aPhase({ percent: 100 }),
			],
		});
		const state = aState({}, checked);
		const passed = { critical: true, message: "fine", status: "passed", attempts: 1, durationMs: 5, atMs: NOW_MS } as const;
		const load: CheckResult = { ...passed, name: "load" };
		const second: CheckResult = { ...passed, name: "second" };
		const hints: CheckResult = { ...passed, name: "hints", critical: false, status: "warning" };
		const advanced = (results: readonly CheckResult[], of = state) => {
			const result = told(of, { kind: "advance", results }, checked);
			return result.ok ? result.value.kind : printRefusal(result.error);
		};

		test("all of them, those too that the next phase begins with", () => {
			expect(advanced([load, second, hints])).toBe("advance");
			expect(advanced([load, second])).toBe("advance");
		});

		test.each<[string, readonly CheckResult[], string]>([
			["one that failed", [{ ...load, status: "failed", message: "answered 500" }, second], "check load: answered 500: it must pass first"],
			["one that is too old", [{ ...load, status: "stale", message: "older than 24h" }, second], "check load: older than 24h"],
			["one that waits for a person", [load, { ...second, status: "pending", message: "look at it" }], "confirm or report it"],
			["one of before this phase", [{ ...load, atMs: state.sinceMs - 1 }, second], "check load: has not run yet"],
			["nothing that is known", [], "check load: has not run yet"],
		])("not past %s", (_, results, said) => {
			expect(advanced(results)).toContain(said);
			expect(advanced(results)).toContain("an admin can force it, with a reason");
			expect(told(state, { kind: "advance", results, force: true, isAdmin: true }, checked)).toMatchObject({ ok: true });
		});

		test("though the phase has not lasted yet, and nobody has looked at what the next one begins with", () => {
			const early = aState({ watch: { heldMs: 0 } }, checked);
			expect(advanced([load], early)).toContain("check second: has not run yet");
			expect(advanced([load], early)).toContain("once phase_1 has lasted");
		});

		test("but for a baseline: what the first phase begins with has passed before the start", () => {
			const measured = aPlan({ guards: ["error_rate vs baseline <= +20%"], checks: [{ name: "load", http, every: "1h" }] });
			expect(told(aState({ phase: -1 }, measured), { kind: "advance" }, measured)).toMatchObject({ ok: true });
		});
	});

	test("needs no second approval of the first phase, which was approved before the start", () => {
		const first = aPlan({
			guards: ["error_rate vs baseline <= +20%"],
			phases: [aPhase({ percent: 5, approval: "manual" }), aPhase({ percent: 100 })],
		});
		expect(told(aState({ phase: -1 }, first), { kind: "advance" }, first)).toMatchObject({
			value: { kind: "advance", state: { phase: 0 } },
		});
	});
});

describe("approvals that never come", () => {
	const waited = (policy: string, ms: number, change: Record<string, unknown> = {}) => {
		const of = aPlan({ phases: plan.phases, approval_timeout: { after: "1d", policy }, ...change });
		return decide(of, { ...asked("carl"), askedAtMs: NOW_MS - ms } as LiveState, anEvidence(), NOW_MS);
	};

	test.each(["hold", "rollback", "advance"])("are waited for until their time is over, whatever the policy (%s)", (policy) => {
		expect(waited(policy, DAY_MS - 1)).toMatchObject({ kind: "hold", reason: "awaiting_approval", alerts: [] });
	});

	test("hold: somebody is told", () => {
		expect(waited("hold", DAY_MS)).toMatchObject({
			kind: "hold",
			reason: "awaiting_approval",
			message: "phase_2 (20 %) needs 2 approvals, 1 so far, for 1d",
			alerts: [{ severity: "warn", kind: "approval_timeout" }],
		});
	});

	test("rollback: everybody goes back", () => {
		expect(waited("rollback", DAY_MS)).toMatchObject({ kind: "roll_back", reason: "timed_out", strategy: "immediate" });
	});

	test("advance: it goes on without them, though never where nothing advances by itself", () => {
		expect(waited("advance", DAY_MS)).toMatchObject({ kind: "advance", state: { phase: 1 } });
		const of = aPlan({ phases: plan.phases, approval_timeout: { after: "1d", policy: "advance" } });
		const manual = { ...asked(), askedAtMs: NOW_MS - DAY_MS, manual: true } as LiveState;
		expect(decide(of, manual, anEvidence(), NOW_MS)).toMatchObject({ kind: "hold", reason: "manual_advance" });
	});

	test.each(["rollback", "advance"])("%s: nothing that was not seen moves anybody", (policy) => {
		const of = aPlan({ phases: plan.phases, approval_timeout: { after: "1d", policy } });
		const state = { ...asked("carl"), askedAtMs: NOW_MS - DAY_MS } as LiveState;
		for (const seen of [anEvidence({ totals: [] }), { kind: "source_error", message: "timeout" } as const])
			expect(decide(of, state, seen, NOW_MS)).toMatchObject({ kind: "hold", state: { status: "awaiting_approval", phase: 0 } });
	});
});
