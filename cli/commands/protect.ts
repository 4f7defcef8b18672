import * as z from "zod";
import { durationMs } from "../../core/rollouts/duration";
import { type Protection, protection, protections } from "../answers";
import type { Answer, Call, Command } from "../command";
import { wouldSend } from "../command";
import type { Write } from "../controlApi";
import { usageError } from "../exit";
import { type Paint, age, instant, table } from "../output";

const WRITES = ["for", "host", "environment", "reason", "dry-run"] as const;
const NOTES = "It ends by itself after --for (default 1h, at most 7d). Set again it is replaced; protect off lifts it.";

export const protectShed: Command = {
	name: "protect shed",
	takes: "",
	about: "Refuses a share of the requests with 503, those of low priority",
	options: ["share", ...WRITES],
	examples: ['tidegate protect shed --share 50 --for 30m --reason "database at its limit"'],
	notes: `Of routes with priority 0 to 5 that are not exempt. ${NOTES}`,
	async run(call) {
		const { share } = call.options;
		const percent = share !== undefined && /^\d+(?:\.\d+)?$/.test(share) ? Number(share) : Number.NaN;
		if (!(percent >= 0 && percent <= 100)) throw usageError("--share takes percent of requests, from 0 to 100");
		return put(call, "shed", { kind: "shed", share: percent });
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
	options: ["environment", "reason", "dry-run"],
	examples: ['tidegate protect off shed --reason "database is well"'],
	async run({ args: [key = ""], environment, options, control: open }) {
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

async function put({ options, environment, control: open, world }: Call, key: string, what: object): Promise<Answer> {
	const ms = durationMs(options.for ?? DEFAULT_FOR);
	if (ms === undefined || ms === 0) throw usageError(`--for takes a duration as in 30m or 2h, not "${options.for ?? ""}"`);
	const control = open();
	const until = new Date(world.now() + ms).toISOString();
	const body = { ...what, until, ...(options.host === undefined ? {} : { host: options.host }) };
	const write: Write = { method: "PUT", path: `/gateway/protections/${key}`, query: { environment, reason: options.reason }, body };
	if (options["dry-run"]) return wouldSend(control, [write]);
	const found = await control.send(write, protection);
	return { json: found, text: `${found.key} is in force in ${environment} within 10 s, until ${instant(found.untilMs)}` };
}

function segmentsOf({ options }: Call): readonly string[] {
	const named = (options.segments ?? "").split(",");
	if (named.some((each) => each === "")) throw usageError("--segments takes keys with commas between them");
	return named;
}

function protectionTable(found: readonly Protection[], now: number, paint: Paint): string {
	const rows = found.map((each) => [
		each.key,
		each.kind,
		each.share === undefined ? (each.segments ?? []).join(", ") : `${each.share} % up to priority ${each.upTo ?? 0}`,
		each.host ?? "all hosts",
		`${instant(each.untilMs)}, in ${age(each.untilMs - now)}`,
	]);
	return table(["PROTECTION", "KIND", "WHOM", "HOST", "UNTIL"], rows, paint);
}
