import { isPublicHost } from "../core/publicHost";

export const URL_CHARACTERS_MAX = 2_000;

/**
 * Why no request may go there, undefined: it may. A name is not resolved: one that leads to a private address passes here, and
 * Cloudflare's network is what keeps Workers out of private ones.
 */
export function addressRefusal(text: string, allowPrivate: boolean): string | undefined {
	if (text.length > URL_CHARACTERS_MAX) return `${text.length} characters > limit ${URL_CHARACTERS_MAX}`;
	const url = URL.canParse(text) ? new URL(text) : undefined;
	if (!url || (url.protocol !== "https:" && !(allowPrivate && url.protocol === "http:"))) return "takes an https URL";
	if (url.username !== "" || url.password !== "") return "must not hold a user or a password";
	if (allowPrivate) return undefined;
	if (url.port !== "") return `port ${url.port} is not 443`;
	return isPublicHost(url.hostname) ? undefined : `${url.hostname} is not on the public Internet`;
}
