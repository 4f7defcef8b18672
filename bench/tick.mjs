// npm run bench:tick: what one tick over a thousand active rollouts takes, and asks of D1.
import { isQuick, startReport } from "./report.mjs";
import { startInstance } from "./tick/instance.mjs";

const WALL_BAR_S = 30;
const QUERIES_BAR = 999;
const ROLLOUTS = 1_000;
const CHANGING = 150;
const TICKS_MAX = 10;
/** Of each arm, with a request each that reports two metrics. */
const USERS = isQuick ? 25 : 100;
const MINUTE_MS = 60_000;

const report = startReport("tick");
const plan = (hold) => ({
	phases: [
		{ percent: 50, hold, criteria: ["error_rate < 5%", "latency_ms mean < 500"] },
		{ percent: 100, hold: "1d", criteria: ["error_rate < 5%"] },
	],
	guards: ["error_rate vs control <= +25%"],
	red_flags: ["error_rate > 40%"],
	min_users: 20,
	advance: "relaxed",
});

/** Users of both arms; of the candidate's so many fail. */
const points = (name, failing) =>
	["candidate", "control"].flatMap((arm) =>
		Array.from({ length: USERS }, (_, i) => {
			const isHarmed = arm === "candidate" && i < failing * USERS;
			const of = {
				id: null,
				stage: 1,
				served: 50_000,
				arm,
				variant: String(arm === "candidate"),
				unit: `${name}-${arm}-${i}`,
				scored: false,
			};
			return [
				{ ...of, metric: "error", value: Number(isHarmed), harms: isHarmed ? [{ signal: "error", slot: 0 }] : [], first: true },
				{ ...of, metric: "latency_ms", value: 100 + i, harms: [], first: false },
			];
		}).flat(),
	);

/** Figures of a situation, whose ticks were these. */
function figures(situation, ticks) {
	const most = (of) => Math.max(...ticks.map(of));
	const each = ticks.length > 1 ? ", the most of a tick" : "";
	report.figure(`${situation}: wall time${each}`, most(({ wallMs }) => wallMs) / 1_000, "s", WALL_BAR_S);
	report.figure(
		`${situation}: D1 queries, each statement of a batch counted${each}`,
		most(({ statements }) => statements),
		"queries",
		QUERIES_BAR,
	);
	report.figure(
		`${situation}: the same, a batch counted as one${each}`,
		most(({ calls }) => calls),
		"calls",
	);
}

function expected(found, wanted) {
	const said = Object.fromEntries(found.map(({ status, phase, n }) => [phase === null ? status : `${status} ${phase}`, n]));
	for (const [status, n] of Object.entries(wanted))
		if (said[status] !== n) throw new Error(`${JSON.stringify(said)}, not ${JSON.stringify(wanted)}`);
}

const half = CHANGING / 2;
const mixed = await startInstance();
const startedAtMs = Date.now();
await mixed.start("hold", ROLLOUTS - CHANGING, plan("1d"));
await mixed.start("advance", half, plan("1m"));
await mixed.start("back", half, plan("1d"));
report.progress(`${ROLLOUTS} rollouts`);
const groups = [
	["hold", ROLLOUTS - CHANGING],
	["advance", half],
	["back", half],
];
for (const [name, count] of groups) await mixed.outcomes(name, count, points("a", 0));
report.progress("telemetry of both arms");
const holding = await mixed.tick(startedAtMs + MINUTE_MS / 2);
expected(await mixed.statuses(), { "running 0": ROLLOUTS });
figures("all hold", [holding]);
for (const [name, count] of groups) await mixed.outcomes(name, count, points("b", name === "back" ? 0.8 : 0));
const changing = await mixed.tick(startedAtMs + 2 * MINUTE_MS);
expected(await mixed.statuses(), { "running 0": ROLLOUTS - CHANGING, "running 1": half, rolled_back: half });
figures(`${half} roll back and ${half} advance`, [changing]);
await mixed.stop();

const harmful = await startInstance();
await harmful.start("back", ROLLOUTS, plan("1d"));
await harmful.outcomes("back", ROLLOUTS, points("a", 0.8));
report.progress("the same, all harmful");
const ticks = [];
const left = async () => (await harmful.statuses()).some(({ status }) => status === "running");
while (ticks.length < TICKS_MAX && (await left())) ticks.push(await harmful.tick(Date.now() + (ticks.length + 1) * MINUTE_MS));
expected(await harmful.statuses(), { rolled_back: ROLLOUTS });
figures("all roll back", ticks);
report.figure("all roll back: ticks until everybody is safe", ticks.length, "ticks");
await harmful.stop();
report.note(
	`${ROLLOUTS} active rollouts of a flag each, with outcomes of ${2 * USERS} users, a guard, two criteria and a red flag; local workerd and D1.`,
);
report.note("D1's limit of 1,000 queries an invocation is taken to count each statement of a batch.");
report.end();
