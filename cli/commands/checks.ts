import { CHECKS_LIMIT_MS } from "../../core/checks/model";
import { type CheckSummary, checkReport, checkSummary } from "../answers";
import type { Answer, Call, Command } from "../command";
import { wouldSend } from "../command";
import { REQUEST_MS, type Write } from "../controlApi";
import { EXIT, failure, usageError } from "../exit";
import { type Colour, type Paint, table } from "../output";
import { inFile, orStop, readText } from "../planFile";
import { type Source, readYaml } from "../positions";
import { withHint } from "./rollout";

const STATUSES = ["passed", "failed", "warning"];

export const checksOf: Command = {
	name: "checks",
	takes: "<id>",
	about: "What the checks of a rollout's current stage have found",
	options: [],
	examples: ["tidegate checks new-checkout.1", "tidegate checks new-checkout.1 --json | jq .failed"],
	notes: "Exits with 1 where a critical check failed, is stale or pending.",
	async run({ args: [id = ""], control, paint }) {
		const found = await control()
			.get(`/rollouts/${encodeURIComponent(id)}/checks`, checkSummary)
			.catch(withHint(id));
		return answerOf(found, paint);
	},
};

export const checksRun: Command = {
	name: "checks run",
	takes: "<file>",
	about: "Makes the checks of a plan (YAML or JSON, - is stdin) now; nothing is stored",
	options: ["environment"],
	examples: ["tidegate checks run checkout.yaml", "tidegate checks run checkout.yaml --json | jq .can_deploy"],
	notes:
		"Those of the plan itself, and not its phases' own. Takes up to 5 minutes. Exits with 1 where a critical check failed, is stale or pending,\nas one that a person confirms is.",
	async run(call) {
		const [name = ""] = call.args;
		const text = await readText(name, call.world);
		const read = readYaml(text);
		const { source } = orStop<{ readonly source: Source }>("source" in read ? read : { name, text, ...read }, name);
		const body = bodyOf(name, source.value, call);
		const found = await call
			.control()
			.ask("/checks/run", body, checkSummary, CHECKS_LIMIT_MS + REQUEST_MS)
			.catch((error: unknown) => {
				throw inFile(error, { name, text, source });
			});
		return answerOf(found, call.paint);
	},
};

export const checksReport: Command = {
	name: "checks report",
	takes: "<name>",
	about: "Posts a result for checks that are `reported`: passed, failed or warning",
	options: ["environment", "status", "detail", "reason", "dry-run"],
	means: { status: STATUSES.join(", ") },
	examples: ['tidegate checks report e2e --status passed --detail "412 tests"'],
	async run({ args: [name = ""], options, environment, control: open }) {
		const { status, detail = "", reason } = options;
		if (status === undefined || !STATUSES.includes(status)) throw usageError(`--status takes ${STATUSES.join(", ")}`);
		const control = open();
		const path = `/checks/reports/${encodeURIComponent(name)}`;
		const write: Write = { method: "PUT", path, query: { environment, reason }, body: { status, detail } };
		if (options["dry-run"]) return wouldSend(control, [write]);
		const kept = await control.send(write, checkReport);
		return { json: kept, text: `${name} is reported ${status} in ${environment}` };
	},
};

export const checksConfirm: Command = {
	name: "checks confirm",
	takes: "<id> <name>",
	about: "Confirms what a rollout's check waits for a person to confirm",
	options: ["reason", "dry-run"],
	examples: ['tidegate checks confirm new-checkout.1 support-informed --reason "told them on Monday"'],
	async run({ args: [id = "", name = ""], options, control: open, paint }) {
		const control = open();
		const path = `/rollouts/${encodeURIComponent(id)}/checks/${encodeURIComponent(name)}/confirm`;
		const write: Write = { method: "POST", path, body: { reason: options.reason ?? "" } };
		if (options["dry-run"]) return wouldSend(control, [write]);
		const found = await control.send(write, checkSummary).catch(withHint(id));
		return { json: found, text: summaryText(found, paint) };
	},
};

/** What control takes of a plan; whether it is right control says, and where in the file. */
function bodyOf(name: string, value: unknown, { given, environment }: Call): Readonly<Record<string, unknown>> {
	const plan = (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
	const { checks, flags, rollout, environment: own = environment, phases } = plan;
	if (!Array.isArray(checks) || checks.length === 0) throw failure(`${name} has no checks of its own, and nothing was sent`);
	if (given.includes("environment") && own !== environment)
		throw usageError(`${name} is a plan for ${String(own)}, and --environment says ${environment}`);
	const [first] = (Array.isArray(phases) ? phases : []) as readonly ({ readonly percent?: unknown } | null)[];
	return { environment: own, checks: checks as unknown, flags, rollout, percent: first?.percent };
}

function answerOf(found: CheckSummary, paint: Paint): Answer {
	return { json: found, text: summaryText(found, paint), exit: found.can_deploy ? EXIT.ok : EXIT.failure };
}

const COLOURS: Readonly<Record<string, Colour>> = { passed: "green", failed: "red", stale: "red", warning: "yellow", pending: "yellow" };

function summaryText({ checks, can_deploy: canDeploy, failed, pending, execution_time_ms: ms }: CheckSummary, paint: Paint): string {
	if (checks.length === 0) return "no check has run in this stage";
	const rows = checks.map(({ name, status, critical, message }) => [
		name,
		paint(COLOURS[status] ?? "dim", status),
		critical ? "yes" : "no",
		message,
	]);
	const held = checks.filter(({ name, critical }) => critical && (failed.includes(name) || pending.includes(name)));
	const said = canDeploy
		? paint("green", `can deploy: all of it took ${ms} ms`)
		: paint("red", `cannot deploy: ${held.map(({ name, status }) => `${name} is ${status}`).join(", ")}`);
	return `${table(["CHECK", "IS", "CRITICAL", "BECAUSE"], rows, paint)}\n\n${said}`;
}
