import { describe, expect, test } from "vitest";
import { EVENTS, eventPattern, matches } from "../../../core/notify/events";

describe("a pattern", () => {
	test.each([
		["*", "rollout.start", true],
		["*", "anything.else", true],
		["rollout.*", "rollout.roll_back", true],
		["rollout.*", "alert.page", false],
		["rollout.*", "rollouts.start", false],
		["alert.page", "alert.page", true],
		["alert.page", "alert.pages", false],
		["alert.page", "alert.warn", false],
	])("%s on %s: %s", (pattern, type, expected) => expect(matches(pattern, type)).toBe(expected));

	test.each([...Object.keys(EVENTS), "*", "rollout.*", "alert.*", "webhook.*"])("%s may be asked for", (pattern) =>
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
		"alert.paged",
		7,
		null,
	])("%s may not: it would match nothing, or more than it says", (pattern) => expect(eventPattern.safeParse(pattern).success).toBe(false));
});
