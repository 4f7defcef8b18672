// npm run demo: two rollouts under guard, played in about a minute on an instance of its own.
import { act1, act2 } from "./demo/acts.mjs";
import { startInstance } from "./demo/instance.mjs";
import { header, row } from "./demo/timeline.mjs";

const known = new Set(["--json", "--help"]);
const args = process.argv.slice(2);
const unknown = args.find((arg) => !known.has(arg));
if (args.includes("--help") || unknown !== undefined) {
	const usage = `Usage: npm run demo, or npm run --silent demo -- --json

Plays two rollouts on an own local instance, in about a minute:
  act 1  a healthy candidate is opened 5 → 20 → 50 → 100 %
  act 2  a candidate with 6 % errors against 1 % is rolled back

  --json  print one object when done, and nothing else`;
	console.log(unknown === undefined ? usage : `unknown option ${unknown}\n\n${usage}`);
	process.exit(unknown === undefined ? 0 : 2);
}
const isJson = args.includes("--json");
const print = (text) => isJson || console.log(text);
const say = {
	tick: (check, startedAtMs) => print(row(check, startedAtMs)),
	safe: (ms, safe, all) =>
		print(`\nThe edge's last candidate answer came ${ms} ms after the rollback's commit; ${safe} of ${all} users are served the baseline.`),
};

const startedMs = Date.now();
print("starting edge, control and their stores in one workerd …");
const tidegate = await startInstance();
let result;
try {
	print(`\nAct 1: a healthy candidate. 8,000 users, 2,000 a minute; both arms fail in 1 % of requests.\n\n${header()}`);
	const first = await act1(tidegate, say);
	print(`\nAct 2: a harmful candidate. 300–500 users a minute; it fails in 6 % of requests, the baseline in 1 %.\n\n${header()}`);
	const second = await act2(tidegate, say);
	result = { act1: first, act2: second };
} finally {
	await tidegate.stop();
}
if (isJson) console.log(JSON.stringify(result));
const isAsPromised = result.act1.completed && result.act2.rolledBack;
print(
	`\n${isAsPromised ? "Both ended as they should" : "NOT AS IT SHOULD BE"}: act 1 ${result.act1.completed ? "completed" : "did not complete"} after ${result.act1.ticks} ticks; ` +
		`act 2 ${result.act2.rolledBack ? `was rolled back at ${result.act2.percentAtRollback} %` : "was not rolled back"} after ${result.act2.ticks} ticks, ` +
		`${result.act2.usersHarmed} users harmed. ${Math.round((Date.now() - startedMs) / 1_000)} s.`,
);
process.exitCode = isAsPromised ? 0 : 1;
