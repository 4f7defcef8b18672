import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Mistaken, type PlanFile, printMistakes, readPlan } from "../../../cli/planFile";

const VALID = `# what was approved
rollout: checkout
environment: production
flags: [checkout]
phases:
  - { name: first, percent: 5, hold: 2h, criteria: [error_rate < 3%, "latency_ms p95 < 2500"] }
  - name: all
    percent: 100
    hold: 4h
    criteria:
      - error_rate < 3%
      - { criterion: satisfaction mean > 8, optional: true }
guards:
  - error_rate vs control <= +25%
`;

const read = (text: string): PlanFile | Mistaken => readPlan("plan.yaml", text, []);
const mistakesIn = (text: string) => {
	const found = read(text);
	return "mistakes" in found ? found.mistakes.map(({ line, column, field, message }) => [line, column, field, message]) : [];
};
const changed = (from: string, to: string): string => {
	if (!VALID.includes(from)) throw new Error(`the plan has no "${from}"`);
	return VALID.replace(from, to);
};

test("a valid plan is read with its defaults, and is sent as it is written", () => {
	const found = read(VALID);
	if ("mistakes" in found) throw new Error(printMistakes(found));
	expect(found.plan).toMatchObject({ rollout: "checkout", min_users: 100, advance: "standard" });
	expect(found.written).not.toHaveProperty("min_users");
});

test("JSON is read too, tabs and all", () => {
	const json = JSON.stringify((read(VALID) as PlanFile).written, null, "\t");
	expect((read(json) as PlanFile).plan).toEqual((read(VALID) as PlanFile).plan);
	expect(mistakesIn(json.replace('"percent": 5', '"percent": "5"'))).toEqual([
		[10, 15, "/phases/0/percent", expect.stringContaining("takes a number")],
	]);
});

describe("a mistake is told at its line, column and field:", () => {
	test.each<[what: string, text: string, line: number, column: number, field: string, says: string]>([
		["a wrong type", changed("percent: 5,", "percent: five,"), 6, 29, "/phases/0/percent", "takes a number, not a text"],
		["a wrong value", changed("hold: 4h", "hold: 4 hours"), 9, 11, "/phases/1/hold", "is no duration"],
		["a mistyped field", changed("guards:", "guard:"), 13, 1, "/guard", 'unknown field: did you mean "guards"?'],
		[
			"a mistyped field further in",
			changed("    hold: 4h", "    hold: 4h\n    min_user: 5"),
			10,
			5,
			"/phases/1/min_user",
			'did you mean "min_users"?',
		],
		["an unknown field", changed("guards:", "frobnicate: 1\nguards:"), 13, 1, "/frobnicate", "it is one of rollout, environment"],
		["a missing field", changed("    hold: 4h\n", ""), 7, 5, "/phases/1/hold", "is required"],
		["a missing field at the top", changed("rollout: checkout\n", ""), 2, 1, "/rollout", "is required"],
		["true without quotes", changed("phases:", "candidate: true\nphases:"), 5, 12, "/candidate", 'write "true", in quotes'],
		["a criterion, at its character", changed("error_rate < 3%,", "error_rate < 3,"), 6, 66, "/phases/0/criteria/0", "written in percent"],
		[
			"a quoted criterion",
			changed('"latency_ms p95 < 2500"', '"latency_ms p95 < 2500%"'),
			6,
			88,
			"/phases/0/criteria/1",
			"the metric's unit and not %",
		],
		["an optional criterion", changed("satisfaction mean > 8", "satisfaction mean < 8"), 12, 40, "/phases/1/criteria/1", "did you mean"],
		["what no single field can know", changed("percent: 100", "percent: 90"), 8, 14, "/phases/1/percent", "the last phase serves 100 %"],
		[
			"more criteria than a phase may have, with the plan's",
			changed("guards:", `criteria: [${Array(19).fill("error_rate < 3%").join(", ")}]\nguards:`),
			6,
			52,
			"/phases/0/criteria",
			"21 criteria, with those of the plan > limit 20",
		],
		["too long a name", changed("rollout: checkout", `rollout: ${"n".repeat(58)}`), 2, 10, "/rollout", "57"],
		[
			"a plan too large to be sent, at what makes it so",
			changed("guards:", `exclude:\n  keys: [${Array.from({ length: 300 }, (_, i) => `${i}-`.padEnd(1_000, "k")).join(", ")}]\nguards:`),
			14,
			3,
			"/exclude",
			"bytes as JSON > limit 262144, most of them here",
		],
		["too many flags", changed("[checkout]", `[${Array.from({ length: 51 }, (_, i) => `f${i}`).join(", ")}]`), 4, 8, "/flags", "50"],
		[
			"a rollback's step that is given longer than it gets",
			changed("guards:", "rollback:\n  steps:\n    - { name: purge, http: https://a.example/, timeout: 1h }\nguards:"),
			15,
			57,
			"/rollback/steps/0/timeout",
			"takes 1s to 10s",
		],
		["a list without its end", changed("flags: [checkout]", "flags: [checkout"), 4, 8, "", "the [ that opens here is not closed"],
		["an object without its end", changed('2500"] }', '2500"]'), 6, 5, "", "the { that opens here is not closed"],
		["a text without its end", changed("name: all", 'name: "all'), 7, 11, "", "the quote that opens here is not closed"],
		["a tab", changed("    percent: 100", "\tpercent: 100"), 8, 1, "", "a tab indents this line"],
		["a colon in a text", changed("name: all", "name: all: of them"), 7, 11, "", "takes quotes"],
		["a text that begins with a sign", changed("name: all", "name: @all"), 7, 11, "", "a text that begins like this takes quotes"],
		["JSON with a comma too few", '{"rollout": "a" "environment": "b"}', 1, 17, "", "is there a comma"],
		["a hold without its unit", changed("hold: 4h", "hold: 30"), 9, 11, "/phases/1/hold", "write 30s, 30m or 30h"],
		["the same in quotes", changed("hold: 4h", 'hold: "30"'), 9, 11, "/phases/1/hold", "write 30s, 30m or 30h"],
		["a percent beyond all", changed("percent: 100", "percent: 150"), 8, 14, "/phases/1/percent", "takes at most 100, not 150"],
		["an environment cut short", changed("production", "prod"), 3, 14, "/environment", 'did you mean "production"?'],
		["one flag alone", changed("[checkout]", "checkout"), 4, 8, "/flags", 'write ["checkout"]'],
		[
			"a known field in another place",
			changed("    hold: 4h", "    hold: 4h\n    guards: []"),
			10,
			5,
			"/phases/1/guards",
			"it is one of name",
		],
		["a field twice", changed("flags: [checkout]", "flags: [checkout]\nflags: [b]"), 5, 1, "", "Map keys must be unique"],
		["nothing at all", "", 1, 1, "", "the file is empty"],
		["several documents", `${VALID}---\na: 1\n`, 15, 1, "", "multiple documents"],
	])("%s", (_what, text, line, column, field, says) => {
		expect(mistakesIn(text)).toContainEqual([line, column, field, expect.stringContaining(says)]);
	});

	test("of an alias where it is used, and one that unfolds without end is refused", () => {
		const aliased = changed("- error_rate < 3%\n", "- *limit\n").replace("[error_rate < 3%", "[&limit error_rate < 3%");
		expect(mistakesIn(aliased)).toEqual([]);
		const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${"bcdefgh"
			.split("")
			.map(
				(name, i) =>
					`${name}: &${name} [${Array(9)
						.fill(`*${"abcdefgh"[i] ?? ""}`)
						.join(", ")}]`,
			)
			.join("\n")}\n`;
		expect(mistakesIn(bomb)).toEqual([[1, 1, "", expect.stringContaining("alias")]]);
	});
});

test("of what is no YAML only the first mistake is told: the others follow from it", () => {
	expect(mistakesIn(VALID.replaceAll("    ", "\t"))).toHaveLength(1);
});

test("all mistakes come at once, in the order of the file, with the line and a mark below the place", () => {
	const found = read(changed("percent: 5,", "percent: five,").replace("hold: 4h", "hold: 4 hours"));
	expect(printMistakes(found as Mistaken)).toBe(
		`plan.yaml:6:29: /phases/0/percent: takes a number, not a text
    6 |   - { name: first, percent: five, hold: 2h, criteria: [error_rate < 3%, "latency_ms p95 < 2500"] }
      |                             ^
plan.yaml:9:11: /phases/1/hold: is no duration: write "90s", "5m", "2h" or "3d"
    9 |     hold: 4 hours
      |           ^`,
	);
});

test("a metric of the environment's own is known where it is given", () => {
	const text = changed("- error_rate < 3%\n", "- checkout_ms p95 < 4000\n");
	expect(mistakesIn(text)).toEqual([[11, 9, "/phases/1/criteria/0", expect.stringContaining("unknown quantity")]]);
	const own = { key: "checkout_ms", kind: "quantile", unit: "ms", better: "lower", harm: null, description: "" } as const;
	expect(readPlan("plan.yaml", text, [own])).toHaveProperty("plan");
});

test("the ways back that docs/plans.md shows are taken as they stand there", () => {
	const blocks = [...readFileSync("docs/plans.md", "utf8").matchAll(/```yaml\n(rollback:.*?)```/gs)].map(([, text = ""]) => text);
	expect(blocks).toHaveLength(2);
	for (const block of blocks) expect(mistakesIn(`${VALID}${block}`)).toEqual([]);
});
