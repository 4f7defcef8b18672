/** Standard Webhooks 1.0.0: symmetric signatures. */

const PREFIX = "whsec_";
/** The specification has 24 to 64. */
const SECRET_BYTES = 32;

export interface Signed {
	readonly id: string;
	/** When it is sent: receivers refuse what is older than some minutes. */
	readonly timestampMs: number;
	readonly body: string;
}

export function drawSecret(): string {
	return PREFIX + base64(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}

/** The three headers. One signature a secret: a receiver takes the message when one of them is right. Throws: a secret is none. */
export async function signatureHeaders(signed: Signed, secrets: readonly string[]): Promise<Record<string, string>> {
	const timestamp = String(Math.floor(signed.timestampMs / 1_000));
	const content = `${signed.id}.${timestamp}.${signed.body}`;
	const signatures = await Promise.all(secrets.map((secret) => sign(content, secret)));
	return { "webhook-id": signed.id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
}

async function sign(content: string, secret: string): Promise<string> {
	const bytes = Uint8Array.from(atob(secret.slice(PREFIX.length)), (character) => character.charCodeAt(0));
	const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
	return `v1,${base64(new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content))))}`;
}

const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
