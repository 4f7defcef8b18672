import * as z from "zod";
import { flagKey } from "../../core/flags/model";
import { host as hostSchema } from "../../core/gateway/model";
import { meant } from "../../core/health/suggest";
import { durationMs } from "../../core/rollouts/duration";
import { type Protection, protection, protections, routes } from "../answers";
import type { Answer, Call, Command } from "../command";
import { wouldSend } from "../command";
import type { Control, Write } from "../controlApi";
import { usageError } from "../exit";
import { inOptions } from "../inOptions";
import { type Paint, age, instant, table } from "../output";

const WRITES = ["for", "host", "key", "environment", "reason", "dry-run"] as const;
const NOTES =
	"It ends by itself after --for (default 1h, at most 7d); protect off lifts it. There is one for all hosts and one for each --host: set again it is replaced. --key names others beside them.";

export const protectShed: Command = {
	name: "protect shed",
	takes: "",
	about: "Refuses a share of the requests with 503, those of low priority",
	options: ["share", "up-to", "exempt", ...WRITES],
	examples: [
		'tidegate protect shed --share 50 --for 30m --reason "database at its limit"',
		"tidegate protect shed --share 20 --host shop.example.com --up-to 3 --exempt /health,/pay/*",
	],
	notes: `Of routes with a priority from 0 to --up-to that are not exempt. ${NOTES}`,
	async run(call) {
		const { share, "up-to": upTo, exempt } = call.options;
		const percent = share !== undefined && /^\d+(?:\.\d+)?\s?%?$/.test(share) ? Number.parseFloat(share) : Number.NaN;
		if (!(percent >= 0 && percent <= 100)) throw usageError("--share takes percent of requests, from 0 to 100");
		if (upTo !== undefined && !/^\d$/.test(upTo)) throw usageError("--up-to takes a priority from 0 to 9");
		return put(call, "shed", {
			kind: "shed",
			share: percent,
			...(upTo === undefined ? {} : { upTo: Number(upTo) }),
			...(exempt === undefined ? {} : { exempt: listIn(exempt, "exempt", "paths") }),
		});
	},
};

export const protectLockDown: Command = {
	name: "protect lock-down",
	takes: "",
	about: "Lets only members of --segments through",
	options: ["segments", ...WRITES],
	examples: ['tidegate protect lock-down --segments staff,auditors --for 2h --reason "incident 12"'],
	notes: NOTES,
	run: (call) => put(call, "lock-down", { kind: "lock_down", segments: segmentsOf(call) }),
};

export const protectIsolate: Command = {
	name: "protect isolate",
	takes: "",
	about: "Pins members of --segments to the baseline",
	options: ["segments", ...WRITES],
	examples: ['tidegate protect isolate --segments enterprise --for 1d --reason "green fails for them"'],
	notes: NOTES,
	run: (call) => put(call, "isolate", { kind: "isolate", segments: segmentsOf(call) }),
};

export const protectOff: Command = {
	name: "protect off",
	takes: "<protection>",
	about: "Lifts a protection before its time: shed, lock-down, isolate, or its key",
	options: ["host", "environment", "reason", "dry-run"],
	examples: ['tidegate protect off shed --reason "database is well"', "tidegate protect off shed --host shop.example.com"],
	async run({ args: [named = ""], environment, options, control: open }) {
		const key = keyOf(named, hostOf(options.host));
		const control = open();
		const path = `/gateway/protections/${encodeURIComponent(key)}`;
		const write: Write = { method: "DELETE", path, query: { environment, reason: options.reason } };
		if (options["dry-run"]) return wouldSend(control, [write]);
		await control.send(write, z.unknown());
		return { json: { lifted: key }, text: `${key} is lifted in ${environment}, within 10 s` };
	},
};

export const protectList: Command = {
	name: "protect list",
	takes: "",
	about: "The protections that are in force",
	options: ["environment"],
	examples: ["tidegate protect list"],
	async run({ control, environment, paint, world, note }) {
		const found = await control().get("/gateway/protections", protections, { environment });
		if (found.damaged.length > 0) note(`cannot be read: ${found.damaged.join(", ")}. Set them again, or lift them`);
		const text =
			found.protections.length > 0 ? protectionTable(found.protections, world.now(), paint) : `nothing is protected in ${environment}`;
		return { json: found.protections, text };
	},
};

const DEFAULT_FOR = "1h";

/** The request's fields, as they are given here. */
const FIELDS = { until: "for", segments: "segments", share: "share", host: "host", upTo: "up-to", exempt: "exempt", key: "key" } as const;

async function put({ options, environment, control: open, world, note }: Call, kind: string, what: object): Promise<Answer> {
	const ms = durationMs(options.for ?? DEFAULT_FOR);
	if (ms === undefined || ms === 0) throw usageError(`--for takes a duration as in 30m or 2h, not "${options.for ?? ""}"`);
	const host = hostOf(options.host);
	const key = options.key ?? keyOf(kind, host);
	if (!flagKey.safeParse(key).success)
		throw usageError(`"${key}" is no key of a protection: name one by --key, of at most 63 lower-case letters, digits, "_", "." and "-"`);
	const control = open();
	const until = new Date(world.now() + ms).toISOString();
	const body = { ...what, until, ...(host === undefined ? {} : { host }) };
	const write: Write = { method: "PUT", path: `/gateway/protections/${key}`, query: { environment, reason: options.reason }, body };
	const [before, unmet] = await Promise.all([replacedBy(control, environment, key), unmetHost(control, environment, host)]);
	if (unmet !== undefined) note(unmet);
	if (options["dry-run"]) return wouldSend(control, [write]);
	const found = await control.send(write, protection).catch((error: unknown) => {
		throw inOptions(error, FIELDS);
	});
	const replaces = before === undefined ? "" : `\nit replaces ${wordsOf(before)}, until ${instant(before.untilMs)}`;
	const text = `${found.key} is in force in ${environment} within 10 s, until ${instant(found.untilMs)}: ${wordsOf(found)}${replaces}`;
	return { json: found, text };
}

/** What is said beside a protection is not waited for where it cannot be had: these are set in a hurry. */
const perhaps = <T>(found: Promise<T>): Promise<T | undefined> => found.catch(() => undefined);

async function replacedBy(control: Control, environment: string, key: string): Promise<Protection | undefined> {
	const found = await perhaps(control.get("/gateway/protections", protections, { environment }));
	return found?.protections.find((each) => each.key === key);
}

/** Of a host that no route has, which is protected by nothing: probably it was mistyped. */
async function unmetHost(control: Control, environment: string, host: string | undefined): Promise<string | undefined> {
	if (host === undefined) return undefined;
	const found = await perhaps(control.get("/gateway/routes", routes, { environment }));
	const hosts = [...new Set(found?.routes.map((each) => each.host))];
	if (!found || hosts.includes(host)) return undefined;
	const likely = meant(host, hosts);
	const hint = likely === undefined ? "tidegate routes list shows the hosts that have" : `did you mean ${likely}?`;
	return `no route in ${environment} has the host ${host}, so this protects nothing: ${hint}`;
}

function hostOf(named: string | undefined): string | undefined {
	if (named === undefined) return undefined;
	const host = hostSchema.safeParse(named);
	if (!host.success) throw usageError(`--host ${host.error.issues[0]?.message ?? ""}`);
	return host.data;
}

const keyOf = (kind: string, host: string | undefined): string => (host === undefined ? kind : `${kind}-${host.replace(":", "-")}`);

const segmentsOf = ({ options }: Call): readonly string[] => listIn(options.segments ?? "", "segments", "keys");

function listIn(text: string, option: string, what: string): readonly string[] {
	const named = text.split(",");
	if (named.some((each) => each === "")) throw usageError(`--${option} takes ${what} with commas between them`);
	return named;
}

const whom = ({ share, upTo, segments }: Protection): string =>
	share === undefined ? (segments ?? []).join(", ") : `${share} % up to priority ${upTo ?? 0}`;
const where = ({ host }: Protection): string => host ?? "all hosts";
const wordsOf = (given: Protection): string => `${given.kind} ${whom(given)}, ${where(given)}`;

function protectionTable(found: readonly Protection[], now: number, paint: Paint): string {
	const rows = found.map((each) => [
		each.key,
		each.kind,
		whom(each),
		where(each),
		`${instant(each.untilMs)}, in ${age(each.untilMs - now)}`,
	]);
	return table(["PROTECTION", "KIND", "WHOM", "HOST", "UNTIL"], rows, paint);
}
