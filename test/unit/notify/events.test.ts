import { describe, expect, test } from "vitest";
import { ALERT_TYPES, EVENTS, alertEvent, changeEvent, eventPattern, matches, severityOf } from "../../../core/notify/events";

describe("a pattern", () => {
	test.each([
		["*", "rollout.started", true],
		["*", "anything.else", true],
		["rollout.*", "rollout.rolled_back", true],
		["rollout.*", "page.no_data", false],
		["rollout.*", "rollouts.started", false],
		["page.*", "page.no_data", true],
		["page.*", "alert.no_data", false],
		["page.no_data", "page.no_data", true],
		["page.no_data", "page.no_datas", false],
		["page.no_data", "alert.no_data", false],
	])("%s on %s: %s", (pattern, type, expected) => expect(matches(pattern, type)).toBe(expected));

	test.each([...Object.keys(EVENTS), "*", "rollout.*", "alert.*", "page.*", "webhook.*"])("%s may be asked for", (pattern) =>
		expect(eventPattern.safeParse(pattern).success).toBe(true),
	);

	test.each([
		"",
		"**",
		"rollout",
		"rollout.",
		"rollout.**",
		"*.start",
		"rollout.st*",
		"rollout.?tart",
		"[a-z]*",
		"Rollout.*",
		"rollouts.*",
		"page.paged",
		7,
		null,
	])("%s may not: it would match nothing, or more than it says", (pattern) => expect(eventPattern.safeParse(pattern).success).toBe(false));
});

test("a rollout's changes are told of in the past tense", () => {
	const kinds = ["start", "advance", "step_back", "roll_back", "complete", "pause", "resume", "cancel"] as const;
	expect(kinds.map(changeEvent)).toEqual([
		"rollout.started",
		"rollout.advanced",
		"rollout.stepped_back",
		"rollout.rolled_back",
		"rollout.completed",
		"rollout.paused",
		"rollout.resumed",
		"rollout.cancelled",
	]);
});

test("an alert is named by its kind, and one that somebody must look at now is a page", () => {
	expect(alertEvent({ severity: "warn", kind: "no_data" })).toBe("alert.no_data");
	expect(alertEvent({ severity: "page", kind: "no_data" })).toBe("page.no_data");
	for (const type of ALERT_TYPES) {
		expect(EVENTS).toHaveProperty([type]);
		expect(type.startsWith("page."), type).toBe(severityOf(type) === "page");
	}
});
