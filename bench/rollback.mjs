// npm run bench:rollback: from the emergency call to the last candidate that any edge answered, while users go on asking.
import { setTimeout as pause } from "node:timers/promises";
import { isQuick, startReport } from "./report.mjs";
import { startInstance } from "./rollback/instance.mjs";
import { startTraffic } from "./rollback/traffic.mjs";
import { quantile, seeded } from "./stats.mjs";

const BAR_MS = 10_000;
const FLAGS = 1_000;
/** Flags of a rollout; a plan takes 50. */
const FLAGS_EACH = 50;
const ENVIRONMENTS = ["production", "staging"];
/** They run beside each other: a run is mostly waiting. */
const INSTANCES = isQuick ? 1 : 2;
const EDGES = 2;
const RUNS = isQuick ? 2 : 52;
/** Rollouts of a flag each take a thousand starts to prepare. */
const SINGLE_RUNS = isQuick ? 0 : 1;
const AT_ONCE = 8;
/** So long nobody may be answered the candidate any more before it counts as over. */
const QUIET_MS = 2_000;
/** A commit falls anywhere into the edges' rhythm of refreshing. */
const REFRESH_MS = 5_000;

const report = startReport("rollback");
const random = seeded(5);
const flags = Array.from({ length: FLAGS }, (_, i) => `feature_${String(i).padStart(4, "0")}`);
const runs = [];
const singles = [];
let answers = 0;

const instances = await Promise.all(Array.from({ length: INSTANCES }, () => startInstance(EDGES)));
const share = RUNS / INSTANCES / ENVIRONMENTS.length;
await Promise.all(instances.flatMap((instance) => ENVIRONMENTS.map((environment) => measure(instance, environment))));
await Promise.all(instances.map((instance) => instance.stop()));

const took = (of) => of.map(({ takenMs }) => takenMs);
report.figure("runs", runs.length, "rollbacks");
report.figure("1,000 flags in 20 rollouts: last candidate answered, p50", quantile(took(runs), 0.5), "ms");
report.figure("the same, p99", quantile(took(runs), 0.99), "ms", BAR_MS);
report.figure("the same, longest", Math.max(...took(runs)), "ms", BAR_MS);
report.figure(
	"the call's own time, p50",
	quantile(
		runs.map(({ callMs }) => callMs),
		0.5,
	),
	"ms",
);
report.figure("transactions of a call, at most", Math.max(...runs.map(({ transactions }) => transactions)), "transactions", 1);
if (singles.length > 0) {
	report.figure("1,000 flags in 1,000 rollouts: last candidate answered, longest", Math.max(...took(singles)), "ms", BAR_MS);
	report.figure("the call's own time, longest", Math.max(...singles.map(({ callMs }) => callMs)), "ms");
	report.figure(
		"transactions of a call, at most, 1,000 rollouts",
		Math.max(...singles.map(({ transactions }) => transactions)),
		"transactions",
		1,
	);
}
report.figure("answers of the edges meanwhile", answers, "answers");
report.note(
	`From the moment the call is sent, so its own time is part of it, to the last candidate that any of ${EDGES} edge isolates answered, whatever`,
);
report.note(`flag and user; each isolate refreshes its head by itself. Between Workers of one machine: Cloudflare's network adds its way.`);
report.end();

async function measure(instance, environment) {
	const { key: sdkKey } = await instance.call("POST", "/keys", { environment, name: "bench" });
	const file = { schemaVersion: 1, environment, flags: flags.map((key) => ({ key, type: "boolean" })) };
	await instance.call("POST", `/import?environment=${environment}`, file);
	let traffic = undefined;
	const run = async (each, into) => {
		const startedAtMs = performance.now();
		const rollouts = await start(instance, environment, each);
		// Only now: an edge that has just begun knows no key.
		traffic ??= startTraffic({ edges: instance.edges, sdkKey, flags });
		await traffic.candidates(startedAtMs);
		await pause(random() * REFRESH_MS);
		const sentAtMs = performance.now();
		const { rolledBack } = await instance.call("POST", "/deployment/rollback/manual", { environment, all: true, reason: "bench" });
		const callMs = performance.now() - sentAtMs;
		const { rows, transactions } = await instance.transactionsOf(rolledBack);
		if (rolledBack.length !== rollouts || rows !== rollouts) throw new Error(`${rolledBack.length} of ${rollouts} were rolled back`);
		const takenMs = (await traffic.lastCandidate(QUIET_MS)) - sentAtMs;
		into.push({ takenMs: Math.max(0, takenMs), callMs, transactions });
		report.progress(`${environment}: ${Math.round(takenMs)} ms (${runs.length + singles.length} of ${RUNS + SINGLE_RUNS})`);
	};
	for (let i = 0; i < share; i++) await run(FLAGS_EACH, runs);
	const isFirst = instance === instances[0] && environment === ENVIRONMENTS[0];
	for (let i = 0; i < (isFirst ? SINGLE_RUNS : 0); i++) await run(1, singles);
	answers += traffic.answers();
	await traffic.stop();
}

/** All flags, so many a rollout, for all users. Returns how many rollouts these are. */
async function start({ call }, environment, each) {
	const groups = Array.from({ length: FLAGS / each }, (_, i) => flags.slice(i * each, (i + 1) * each));
	const count = groups.length;
	const lane = async () => {
		for (let group = groups.pop(); group; group = groups.pop()) {
			const phases = [{ percent: 100, hold: "1h", criteria: ["error_rate < 50%"] }];
			const plan = { rollout: `${environment}-${each}-${group[0]}`, environment, flags: group, phases };
			const { id } = await call("POST", "/rollouts", plan);
			await call("POST", `/rollouts/${id}/commands`, { command: "start", reason: "bench" });
		}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, lane));
	return count;
}
