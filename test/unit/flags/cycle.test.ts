import * as fc from "fast-check";
import { expect, test } from "vitest";
import { findCycle, longestThrough } from "../../../core/flags/cycle";

type Graph = Readonly<Record<string, readonly string[]>>;
const edgesOf = (graph: Graph) => (name: string) => (Object.hasOwn(graph, name) ? (graph[name] ?? []) : []);

test.each<[string, Graph, readonly string[] | undefined]>([
	["nothing", {}, undefined],
	["itself", { a: ["a"] }, ["a", "a"]],
	["two", { a: ["b"], b: ["a"] }, ["a", "b", "a"]],
	["past a dead end", { a: ["x", "b"], x: ["y"], b: ["c"], c: ["a"] }, ["a", "b", "c", "a"]],
	["a loop elsewhere", { a: ["b"], b: ["c"], c: ["b"] }, undefined],
	["past a loop elsewhere", { a: ["b"], b: ["b", "c"], c: ["a"] }, ["a", "b", "c", "a"]],
	["two ways to one end", { a: ["b", "c"], b: ["d"], c: ["d"] }, undefined],
	["a name that objects inherit", { a: ["constructor"], constructor: ["a"] }, ["a", "constructor", "a"]],
])("a cycle through %s", (_, graph, cycle) => expect(findCycle("a", edgesOf(graph))).toEqual(cycle));

test("a way back is found exactly when there is one, and is one", () => {
	const names = ["a", "b", "c", "d", "e", "f"];
	const aGraph = fc.record(Object.fromEntries(names.map((name) => [name, fc.subarray(names, { maxLength: 3 })])));
	fc.assert(
		fc.property(aGraph, (graph) => {
			const reached = new Set<string>();
			const spread = (name: string): void => {
				for (const next of graph[name] ?? [])
					if (!reached.has(next)) {
						reached.add(next);
						spread(next);
					}
			};
			spread("a");
			const cycle = findCycle("a", edgesOf(graph));
			expect(cycle !== undefined).toBe(reached.has("a"));
			if (!cycle) return;
			expect([cycle[0], cycle.at(-1)]).toEqual(["a", "a"]);
			for (const [i, name] of cycle.slice(0, -1).entries()) expect(graph[name]).toContain(cycle[i + 1]);
		}),
		{ numRuns: 2_000 },
	);
});

test("a lattice with 2^60 ways through it takes no longer than its edges", () => {
	const edges = (name: string): readonly string[] => {
		const level = Number(name.slice(1));
		return level < 60 ? [`a${level + 1}`, `b${level + 1}`] : [];
	};
	expect(findCycle("a0", edges)).toBeUndefined();
});

test.each<[string, Graph, Readonly<Record<string, number>>]>([
	["nothing", {}, {}],
	["one alone", { a: [] }, { a: 1 }],
	["a chain", { a: ["b"], b: ["c"], c: [] }, { a: 3, b: 3, c: 3 }],
	["the longer of two ways", { a: ["c", "b"], b: ["c"], c: [] }, { a: 3, b: 3, c: 3 }],
	["a way beside a longer one", { a: ["b"], b: ["c"], c: [], x: ["c"] }, { a: 3, b: 3, c: 3, x: 2 }],
	["a name that is not there", { a: ["gone"] }, { a: 2 }],
	["itself", { a: ["a"] }, { a: Infinity }],
	[
		"a cycle, to it and from it",
		{ to: ["a"], a: ["b"], b: ["a", "from"], from: [] },
		{ to: Infinity, a: Infinity, b: Infinity, from: Infinity },
	],
	["a cycle elsewhere", { a: ["b"], b: ["a"], c: ["d"], d: [] }, { a: Infinity, c: 2, d: 2 }],
	["a name that objects inherit", { a: ["constructor"], constructor: [] }, { a: 2, constructor: 2 }],
])("the longest way through %s", (_, graph, lengths) => {
	const through = longestThrough(Object.keys(graph), edgesOf(graph));
	for (const [name, length] of Object.entries(lengths)) expect(through(name), name).toBe(length);
});

test("a wide lattice's longest way is found with one look at each name's edges", () => {
	const names = Array.from({ length: 180 }, (_, i) => `${Math.floor(i / 3)}${"abc"[i % 3] ?? ""}`);
	let looks = 0;
	const through = longestThrough(names, (name) => {
		looks++;
		const next = Number.parseInt(name, 10) + 1;
		return next < 60 ? [`${next}a`, `${next}b`, `${next}c`] : [];
	});
	expect(new Set(names.map(through))).toEqual(new Set([60]));
	expect(looks).toBe(180);
});
