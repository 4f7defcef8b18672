// docs/gateway.md shows what is taken.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readPlan } from "../../../cli/planFile";
import { imported, readImport } from "../../../core/flags/transfer";
import { checkRoute } from "../../../core/gateway/check";
import { route } from "../../../core/gateway/model";

const text = readFileSync("docs/gateway.md", "utf8");
const blocks = [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, yaml = ""]) => parse(yaml) as Record<string, unknown>);
const [shown = {}, compared = {}] = blocks;
const FLAGS = new Map([
	["shop-stack", ["blue", "green"]],
	["new-prices", ["on", "off"]],
]);
const anywhere = () => undefined;

test("its route is one, with its shadow too, and every field is explained with its default", () => {
	const whole = route.parse({ ...shown, ...compared });
	expect(checkRoute(whole, FLAGS, anywhere)).toEqual([]);
	for (const field of Object.keys(route.shape)) expect(text).toMatch(new RegExp(`^\\| \`${field}\` `, "m"));
	for (const field of Object.keys(whole.shadow?.compare ?? {})) expect(text).toMatch(new RegExp(`^\\| \`compare\\.${field}\` `, "m"));
	const defaults = route.parse({ key: "shop", host: "shop.example.com", origin: "https://shop.example.com" });
	const saidOf = (field: string): string => new RegExp(`^\\| \`${field}\` .*\\| (.*?) *\\|$`, "m").exec(text)?.[1] ?? "";
	for (const field of ["path", "timeout", "retry", "fuse", "priority", "exempt", "body_max", "header_max"] as const)
		expect(saidOf(field), field).toContain(String(defaults[field]));
});

test("its report has the fields that reports have", () => {
	const [, json = ""] = /^```json\n(.*?)^```/ms.exec(text) ?? [];
	expect(Object.keys(JSON.parse(json) as object)).toEqual([
		"phase",
		"date",
		"total_queries",
		"discrepancies",
		"errors",
		"status",
		"samples",
	]);
});

describe("examples/gateway", () => {
	const textOf = (file: string): string => readFileSync(join("examples/gateway", file), "utf8");
	const { flags, segments } = readImport(imported.parse(JSON.parse(textOf("flags.json"))), "production");

	test("has a plan whose route goes by the flag that flags.json brings along", () => {
		const read = readPlan("shop.yaml", textOf("shop.yaml"), []);
		if ("mistakes" in read) throw new Error(JSON.stringify(read.mistakes));
		expect(read.plan.flags).toEqual(flags.map(({ key }) => key));
		expect(read.routes.flatMap((each) => checkRoute(each, FLAGS, anywhere))).toEqual([]);
	});

	test("brings the segments that the protections of the documentation name, with what its route knows of a request", () => {
		const { context } = route.parse(parse(textOf("compare.yaml")));
		const named = [...text.matchAll(/--segments (\S+)/g)].flatMap(([, keys = ""]) => keys.split(","));
		expect(new Set(named)).toEqual(new Set(segments.map(({ key }) => key)));
		for (const { segment } of segments) expect(segment).toMatchObject({ when: { attribute: Object.keys(context)[0] } });
	});

	test("leaves the routes of other examples alone", () => {
		const keys = ["gateway/shop.yaml", "blue-green.yaml", "compare-first.yaml"].flatMap((file) => {
			const read = readPlan(file, readFileSync(join("examples", file), "utf8"), []);
			return "routes" in read ? read.routes.map(({ key }) => key) : [];
		});
		expect(keys).toHaveLength(3);
		expect(new Set(keys).size).toBe(3);
	});

	test("has the same route in compare mode", () => {
		const { shadow, ...rest } = route.parse(parse(textOf("compare.yaml")));
		const read = readPlan("shop.yaml", textOf("shop.yaml"), []);
		expect(shadow).toMatchObject({ variant: "green" });
		expect("routes" in read && read.routes).toEqual([rest]);
	});
});
