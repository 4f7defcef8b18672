import { expect, test } from "vitest";
import { run } from "./processes";

/** Ratios are for `npm run bench:*`; here, that each benchmark runs and says what it promised to say. */
test.each(["evaluate", "bundle", "telemetry", "decisions", "rollback", "tick"])(
	"bench:%s --quick --json ends with one object of figures",
	{ timeout: 60_000 },
	async (bench) => {
		const running = run([`bench/${bench}.mjs`, "--quick", "--json"]);
		try {
			await running.printed('"figures":[');
			await new Promise((done) => (running.child.exitCode === null ? running.child.once("exit", done) : done(undefined)));
		} finally {
			await running.end("SIGKILL");
		}
		const line = running
			.output()
			.split("\n")
			.find((each) => each.startsWith("{"));
		const { bench: named, figures } = JSON.parse(line ?? "{}") as {
			bench: string;
			figures: { name: string; value: number; bar: number | null; holds: boolean | null }[];
		};
		expect(named).toBe(bench);
		expect(figures.length).toBeGreaterThan(0);
		for (const { value, bar, holds } of figures) {
			expect(Number.isFinite(value)).toBe(true);
			expect(holds).toBe(bar === null ? null : value <= bar);
		}
	},
);
