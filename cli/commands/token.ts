import * as z from "zod";
import { type Token, caller, tokens, withToken } from "../answers";
import type { Call, Command } from "../command";
import { wouldSend } from "../command";
import type { Write } from "../controlApi";
import { usageError } from "../exit";
import { type Paint, instant, table } from "../output";

const ROLES = caller.shape.role.options;

const list: Command = {
	name: "token list",
	takes: "",
	about: "API tokens: who has one, with which role, and for where",
	options: [],
	examples: ["tidegate token list", "tidegate token list --json | jq '.[] | select(.role == \"admin\").name'"],
	notes: "Takes an admin's token. The first admin's own is the secret ADMIN_TOKEN, and in no list.",
	async run({ control, paint }) {
		const found = await control().get("/tokens", tokens);
		return { json: found.tokens, text: found.tokens.length > 0 ? tokenTable(found.tokens, paint) : "there is no token but the admin's" };
	},
};

const create: Command = {
	name: "token create",
	takes: "<name>",
	about: "Makes an API token, for all environments unless --environment names one; it is shown this once",
	options: ["role", "environment", "reason", "dry-run"],
	means: { environment: "production or staging, and no other (default: all)" },
	examples: [
		"tidegate token create anna --role operator",
		"tidegate token create ci --role operator --environment staging --json | jq -r .token",
	],
	notes:
		"The name is who acts, in the audit. A viewer reads; an operator changes flags and rollouts too; an admin also makes tokens, SDK keys and webhooks, sets environments up, imports and promotes.\nIf the answer is lost on its way the token is made all the same: revoke it, and make it again.",
	async run(call) {
		const control = call.control();
		const write = creating(call);
		if (call.options["dry-run"]) return wouldSend(control, [write]);
		const made = await control.send(write, withToken);
		call.note(`${made.name}: ${printCaller(made)}. Nobody can look this token up again`);
		return { json: made, text: made.token };
	},
};

const revoke: Command = {
	name: "token revoke",
	takes: "<name>",
	about: "An API token is refused from now on; its name is free again",
	options: ["reason", "dry-run"],
	examples: ['tidegate token revoke anna --reason "left the team"'],
	async run({ args: [name = ""], control: open, options }) {
		const control = open();
		const write: Write = { method: "DELETE", path: `/tokens/${encodeURIComponent(name)}`, query: { reason: options.reason } };
		if (options["dry-run"]) return wouldSend(control, [write]);
		await control.send(write, z.unknown());
		return { json: { name, revoked: true }, text: `the token ${name} is revoked` };
	},
};

export const token: readonly Command[] = [list, create, revoke];

function creating({ args: [name = ""], given, environment, options: { role, reason } }: Call): Write {
	if (!ROLES.some((each) => each === role))
		throw usageError(`--role takes ${ROLES.join(", ")}${role === undefined ? "" : `, not "${role}"`}: what the token may do`);
	const only = given.includes("environment") ? { environment } : {};
	return { method: "POST", path: "/tokens", query: { reason }, body: { name, role, ...only } };
}

/** "operator, staging only" */
export function printCaller({ role, environment }: z.infer<typeof caller>): string {
	return environment === null ? role : `${role}, ${environment} only`;
}

function tokenTable(found: readonly Token[], paint: Paint): string {
	const rows = found.map(({ name, role, environment, createdAtMs, revokedAtMs }) => [
		name,
		role,
		environment ?? "all",
		instant(createdAtMs),
		revokedAtMs === null ? "" : paint("red", `revoked ${instant(revokedAtMs)}`),
	]);
	return table(["NAME", "ROLE", "ENVIRONMENT", "CREATED", ""], rows, paint);
}
