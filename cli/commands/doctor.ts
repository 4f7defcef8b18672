import { LIVE } from "../../core/rollouts/state";
import { type Detail, detail, edgesStatus, listed, systemStatus } from "../answers";
import type { Answer, Call, Command } from "../command";
import { REQUEST_MS, Unanswered, controlAt, request } from "../controlApi";
import {
	type Check,
	type Probe,
	attributionChecks,
	clockChecks,
	controlCheck,
	edgeChecks,
	isolatesCheck,
	systemChecks,
} from "../doctor/checks";
import { EXIT, Stop } from "../exit";
import { type Colour, type Paint, pad } from "../output";
import { type Login, configFile, edgeOf, isInTheClear, isReadableByOthers, loginOf, tokenIn } from "../profiles";

/** Each is a request of its own. */
const ROLLOUTS_MAX = 50;

export const doctor: Command = {
	name: "doctor",
	takes: "",
	about: "Looks whether everything works: control, token, clock, ticks, publications, rollouts, edge; says what to do",
	options: ["environment", "edge"],
	examples: ["tidegate doctor", "tidegate doctor --edge https://edge.example.com --json"],
	notes: "Ends with 0 unless a check fails; warnings do not fail.",
	async run(call) {
		const { options, world, environment } = call;
		const login = loginOf(options, world.env);
		const edge = edgeOf(options, world.env);
		const [control, edgeProbe] = await Promise.all([probe(call, login.url), edge === undefined ? undefined : probe(call, edge)]);
		const checks = [
			...loginChecks(login, call),
			controlCheck(control, login.url),
			...clockChecks(control),
			...(control.kind === "answered" ? await insideChecks(login, call) : []),
			...edgeChecks(edgeProbe, edge, environment),
		];
		return answerOf(checks, environment, call.paint);
	},
};

async function probe({ world }: Call, url: string): Promise<Probe> {
	try {
		const { status, body, headers, tookMs } = await request(`${url}/health/readiness`, {
			method: "GET",
			requestMs: REQUEST_MS,
			interrupted: world.interrupted,
		});
		const date = Date.parse(headers.get("date") ?? "");
		// It was written somewhere on the way.
		return { kind: "answered", status, body, dateMs: Number.isNaN(date) ? null : date, tookMs, atMs: world.now() - tookMs / 2 };
	} catch (error) {
		if (error instanceof Unanswered) return { kind: "unanswered", message: error.message };
		throw error;
	}
}

function loginChecks({ profile, url }: Login, { world: { env } }: Call): Check[] {
	const path = configFile(env);
	if (isReadableByOthers(env))
		return [{ name: "login", status: "warn", message: `${path} can be read by others`, advice: `chmod 600 ${path}` }];
	if (isInTheClear(url))
		return [
			{
				name: "login",
				status: "warn",
				message: `${url} is not https, so the token can be read on its way`,
				advice: "log in with an https URL",
			},
		];
	return [{ name: "login", status: "ok", message: `profile ${profile}` }];
}

/** What takes a token. */
async function insideChecks(login: Login, { environment, world: { interrupted } }: Call): Promise<Check[]> {
	try {
		const control = controlAt({ ...tokenIn(login), interrupted });
		const [system, { edges }, { rollouts }] = await Promise.all([
			control.get("/deployment/system-status", systemStatus, { environment }),
			control.get("/deployment/status", edgesStatus, { environment }),
			control.get("/rollouts", listed, { environment, status: LIVE.join(","), limit: ROLLOUTS_MAX }),
		]);
		const live = await Promise.all(rollouts.map(({ id }) => control.get(`/rollouts/${id}`, detail).catch(unlessDamaged)));
		return [
			{ name: "token", status: "ok", message: "taken" },
			...systemChecks(system),
			...attributionChecks(live.filter((each): each is Detail => each !== undefined)),
			isolatesCheck(edges),
		];
	} catch (error) {
		if (!(error instanceof Stop) || error.exit === EXIT.interrupted) throw error;
		const isToken = error.exit === EXIT.unauthorized;
		return [
			{
				name: isToken ? "token" : "status",
				status: "fail",
				message: error.message,
				advice: isToken ? `tidegate login ${login.url}` : "control's log has the cause",
			},
		];
	}
}

/** Damaged since it was listed: the status names it. */
function unlessDamaged(error: unknown): undefined {
	if (!(error instanceof Stop) || error.exit !== EXIT.failure) throw error;
}

const LOOKS: Readonly<Record<Check["status"], Colour>> = { ok: "green", warn: "yellow", fail: "red" };

function answerOf(checks: readonly Check[], environment: string, paint: Paint): Answer {
	const count = (status: Check["status"]): number => checks.filter((each) => each.status === status).length;
	const width = Math.max(...checks.map(({ name }) => name.length));
	const lines = checks.flatMap(({ name, status, message, advice }) => [
		`${paint(LOOKS[status], status.padEnd(4))}  ${pad(name, width)}  ${message}`,
		...(advice === undefined ? [] : [`${" ".repeat(width + 8)}→ ${advice}`]),
	]);
	const isWell = count("fail") === 0;
	return {
		json: { ok: isWell, environment, checks },
		text: [...lines, "", `${count("ok")} ok, ${count("warn")} to look at, ${count("fail")} failed`].join("\n"),
		exit: isWell ? EXIT.ok : EXIT.failure,
	};
}
