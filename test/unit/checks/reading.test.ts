import { expect, test } from "vitest";
import { keepsTo, parseReading } from "../../../core/checks/reading";

const kept = (text: string, value: number): boolean | string => {
	const read = parseReading(text);
	return read.ok ? keepsTo(read.value, value) : read.error;
};

test.each([
	["cpu_percent mean < 80", 79.9, true],
	["cpu_percent mean < 80", 80, false],
	["cpu_percent<=80", 80, true],
	["free_mb last > 512", 513, true],
	["free_mb last >= 512", 511, false],
	["temperature max > -5", -4, true],
])("%s of %d: %s", (text, value, wanted) => expect(kept(text, value)).toBe(wanted));

test("an origin's metric is taken by its mean unless it says how", () => {
	expect(parseReading(" connections  max <  100 ")).toMatchObject({
		ok: true,
		value: { metric: "connections", aggregate: "max", limit: 100 },
	});
	expect(parseReading("connections < 100")).toMatchObject({ ok: true, value: { aggregate: "mean" } });
});

test.each([
	"",
	"cpu_percent",
	"cpu_percent < ",
	"cpu_percent < 80%",
	"cpu percent < 80",
	"cpu_percent p95 < 80",
	"CPU < 80",
	"a < 1e9",
	"a < 1 < 2",
])('"%s" is told what to write', (text) => expect(kept(text, 0)).toContain('as in "cpu_percent mean < 80"'));
