import { createHmac } from "node:crypto";
import { host as hostSchema } from "../../core/gateway/model";
import { durationMs } from "../../core/rollouts/duration";
import type { Command } from "../command";
import { usageError } from "../exit";

const HEADER = "x-tidegate-preview";
const VARIABLE = "TIDEGATE_PREVIEW_KEY";
const ANY_VARIANT = "*";
const DEFAULT_FOR = "1h";
const DAY_MS = 86_400_000;
const VARIANT_CHARACTERS_MAX = 63;

/** What `worker/gateway/preview.ts` verifies; a test holds the two together. */
export function previewHeader(secret: string, host: string, variant: string, expiryS: number): string {
	const signature = createHmac("sha256", secret).update(`${host}\n${expiryS}\n${variant}`).digest("base64url");
	return `v1.${expiryS}.${variant}.${signature}`;
}

export const routesPreview: Command = {
	name: "routes preview-header",
	takes: "",
	about: "Signs the header with which a tester sees, and chooses, the variant that a host's requests get",
	options: ["host", "variant", "for"],
	examples: [
		'curl -H "$(tidegate routes preview-header --host shop.example.com --variant green)" https://shop.example.com/',
		"tidegate routes preview-header --host shop.example.com --for 8h < preview-key.txt",
	],
	notes: `The secret is the edge's GATEWAY_PREVIEW_KEY: it is read from ${VARIABLE}, else from stdin, and nothing is sent. Without --variant the header chooses none, and only shows which one there is. It is good for at most 24h.`,
	async run({ options, world }) {
		if (options.host === undefined) throw usageError("--host is required: the host of the requests, as in shop.example.com");
		const host = hostSchema.safeParse(options.host);
		if (!host.success) throw usageError(`--host ${host.error.issues[0]?.message ?? ""}`);
		const variant = options.variant ?? ANY_VARIANT;
		if (variant.length > VARIANT_CHARACTERS_MAX || !/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(variant))
			throw usageError("--variant takes a variant's name, of characters that a header may hold");
		const ms = durationMs(options.for ?? DEFAULT_FOR);
		if (ms === undefined || ms === 0 || ms > DAY_MS) throw usageError("--for takes a duration up to 24h, as in 30m or 2h");
		const given = world.env[VARIABLE] ?? (world.stdin.isTTY ? await world.ask("GATEWAY_PREVIEW_KEY: ", true) : await world.stdin.text());
		const secret = given.trim();
		if (secret === "") throw usageError(`the secret GATEWAY_PREVIEW_KEY is empty: set ${VARIABLE}, or write it to stdin`);
		const expiryS = Math.floor((world.now() + ms) / 1_000);
		const value = previewHeader(secret, host.data, variant, expiryS);
		return { json: { header: HEADER, value, expiresAtMs: expiryS * 1_000 }, text: `${HEADER}: ${value}` };
	},
};
