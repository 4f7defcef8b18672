import { expect, test } from "vitest";
import { run } from "./processes";

interface Figure {
	readonly name: string;
	readonly value: number;
	readonly unit: string;
	readonly bar: number | null;
	readonly holds: boolean | null;
}

/** Ratios are for `npm run bench:*`; here, that each benchmark runs and says what it promised to say. */
test.each(["evaluate", "bundle", "telemetry", "decisions", "rollback", "tick"])(
	"bench:%s --quick --json ends with one object of figures",
	{ timeout: 60_000 },
	async (bench) => {
		expect((await figuresOf(bench)).length).toBeGreaterThan(0);
	},
);

test(
	"bench:gateway --quick --json does as well; no client's request fails, and a candidate that does is left in time",
	{ timeout: 90_000 },
	async () => {
		const figures = await figuresOf("gateway");
		// What fails by chance may stay below half for as long as chance likes.
		const counted = figures.filter(({ name, unit, bar }) => bar !== null && unit === "requests" && !name.includes("by chance"));
		expect(counted.filter(({ name }) => name.includes("to the fuse"))).toHaveLength(8);
		expect(counted.filter(({ name }) => name.includes("failed") || name.includes("torn"))).toHaveLength(3);
		expect(counted.filter(({ holds }) => !holds)).toEqual([]);
	},
);

async function figuresOf(bench: string): Promise<readonly Figure[]> {
	const running = run([`bench/${bench}.mjs`, "--quick", "--json"]);
	try {
		await running.printed('"figures":[', 75_000);
		await new Promise((done) => (running.child.exitCode === null ? running.child.once("exit", done) : done(undefined)));
	} finally {
		await running.end("SIGKILL");
	}
	const line = running
		.output()
		.split("\n")
		.find((each) => each.startsWith('{"bench"'));
	const { bench: named, figures } = JSON.parse(line ?? "{}") as { bench: string; figures: Figure[] };
	expect(named).toBe(bench);
	for (const { value, bar, holds } of figures) {
		expect(Number.isFinite(value)).toBe(true);
		expect(holds).toBe(bar === null ? null : value <= bar);
	}
	return figures;
}
