import { expect, test } from "vitest";
import { type Flag, completeFlag, flagInput } from "../../../core/flags/model";
import { restoredFlag } from "../../../core/rollouts/restoredFlag";

/** What a rollback gives a flag back, and what people did for safety meanwhile. */

const aFlag = (change: Partial<Flag> = {}): Flag => ({ ...completeFlag(flagInput.parse({ key: "cart", type: "boolean" })), ...change });
const ANN = [{ variant: "false", keys: ["ann"] }];

test("the earlier version comes back, in all that is no safety's", () => {
	const version = aFlag({ description: "then", fallthrough: "true", tags: ["then"] });
	expect(restoredFlag(aFlag({ description: "now", owner: "ann" }), version)).toEqual(version);
});

test.each([
	[true, true, true],
	[true, false, false],
	[false, true, false],
	[false, false, false],
])("enabled %s now and %s then is enabled: %s", (now, then, after) => {
	expect(restoredFlag(aFlag({ enabled: now }), aFlag({ enabled: then })).enabled).toBe(after);
});

test("a flag that was killed goes on serving everybody what it serves now", () => {
	const [then, now] = [aFlag({ offVariant: "true" }), aFlag({ offVariant: "false" })];
	expect(restoredFlag({ ...now, enabled: false }, then).offVariant).toBe("false");
	expect(restoredFlag(now, then).offVariant).toBe("true");
});

test("who was targeted meanwhile stays so, and who no longer is does not come back", () => {
	expect(restoredFlag(aFlag({ targets: ANN }), aFlag()).targets).toEqual(ANN);
	expect(restoredFlag(aFlag(), aFlag({ targets: ANN })).targets).toEqual([]);
});

test("what names a variant that the earlier version does not have is left out, since nobody could be served it", () => {
	const then = aFlag({ type: "string", variants: { old: "a", off: "b" }, offVariant: "off", fallthrough: "old" });
	const now = aFlag({
		...then,
		variants: { old: "a", safe: "c" },
		enabled: false,
		offVariant: "safe",
		targets: [
			{ variant: "safe", keys: ["ann"] },
			{ variant: "old", keys: ["bob"] },
		],
	});
	expect(restoredFlag(now, then)).toEqual({ ...then, enabled: false, targets: [{ variant: "old", keys: ["bob"] }] });
});

test("a flag that was closed to client keys is not opened to them", () => {
	expect(restoredFlag(aFlag({ public: false }), aFlag({ public: true })).public).toBe(false);
	expect(restoredFlag(aFlag({ public: true }), aFlag({ public: false })).public).toBe(false);
});
