import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import * as z from "zod";
import { nearest } from "../core/health/suggest";
import { EXIT, Stop, failure, usageError } from "./exit";
import type { Options } from "./options";
import type { World } from "./world";

/** Logins, kept for their owner alone. What is named on the command line goes before the environment's variables, and those before what is kept. */

const profile = z.object({ url: z.string(), token: z.string(), edge: z.string().optional() });
const config = z.object({ profiles: z.record(z.string(), profile) });
export type Profile = z.infer<typeof profile>;

export interface Login {
	readonly profile: string;
	readonly url: string;
	/** undefined: none is known for this URL. */
	readonly token: string | undefined;
}

type Env = World["env"];

export function configFile(env: Env): string {
	const base = env["XDG_CONFIG_HOME"];
	return join(base === undefined || base === "" ? join(homedir(), ".config") : base, "tidegate", "config.json");
}

export function readProfiles(env: Env): Readonly<Record<string, Profile>> {
	const path = configFile(env);
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
		throw failure(`${path} cannot be read: ${(error as Error).message}`);
	}
	const parsed = config.safeParse(jsonOrUndefined(text));
	if (!parsed.success) throw failure(`${path} is not what tidegate login writes: delete it, and log in again`);
	return parsed.data.profiles;
}

/** undefined takes the profile away. A reader sees the old file or the new one, never half of one. */
export function keepProfile(env: Env, name: string, kept: Profile | undefined): void {
	const path = configFile(env);
	const { [name]: _old, ...others } = readProfiles(env);
	const profiles = kept ? { ...others, [name]: kept } : others;
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	const fresh = `${path}.${process.pid}`;
	rmSync(fresh, { force: true });
	writeFileSync(fresh, `${JSON.stringify({ profiles }, null, "\t")}\n`, { mode: 0o600 });
	chmodSync(fresh, 0o600);
	renameSync(fresh, path);
}

/** Whether anybody but its owner may read the file; false where there is none. */
export function isReadableByOthers(env: Env): boolean {
	return ((statSync(configFile(env), { throwIfNoEntry: false })?.mode ?? 0) & 0o077) !== 0;
}

export function profileName(options: Pick<Options, "profile">, env: Env): string {
	const name = options.profile ?? nonEmpty(env["TIDEGATE_PROFILE"]) ?? "default";
	if (!/^[\w.-]{1,63}$/.test(name)) throw usageError(`a profile's name has letters, digits, "_", "." and "-", at most 63: not "${name}"`);
	return name;
}

export function loginOf(options: Pick<Options, "profile" | "url">, env: Env): Login {
	const { name, isNamed, kept } = find(options, env);
	const variable = (key: string): string | undefined => (isNamed ? undefined : nonEmpty(env[key]));
	const named = options.url ?? variable("TIDEGATE_URL") ?? kept?.url;
	if (named === undefined)
		throw usageError("it is not known where control is: tidegate login <url>, or set TIDEGATE_URL and TIDEGATE_TOKEN");
	const url = urlOf(named);
	// A kept token goes to the control that it was kept for, and nowhere else.
	return { profile: name, url, token: variable("TIDEGATE_TOKEN") ?? (kept?.url === url ? kept.token : undefined) };
}

export function tokenIn({ url, token }: Login): { readonly url: string; readonly token: string } {
	if (token !== undefined) return { url, token };
	throw new Stop(EXIT.unauthorized, `there is no API token for ${url}: tidegate login ${url}, or set TIDEGATE_TOKEN`);
}

export function edgeOf(options: Pick<Options, "profile" | "edge">, env: Env): string | undefined {
	const { isNamed, kept } = find(options, env);
	const found = options.edge ?? (isNamed ? undefined : nonEmpty(env["TIDEGATE_EDGE_URL"])) ?? kept?.edge;
	return found === undefined ? undefined : urlOf(found);
}

function find(options: Pick<Options, "profile">, env: Env) {
	const name = profileName(options, env);
	const profiles = readProfiles(env);
	const kept = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
	const isNamed = options.profile !== undefined;
	if (isNamed && !kept) throw noProfile(name, env);
	return { name, isNamed, kept };
}

export function noProfile(name: string, env: Env): Stop {
	const meant = nearest(name, Object.keys(readProfiles(env)));
	return usageError(
		`there is no profile ${name}: ${meant === undefined ? `tidegate login <url> --profile ${name}` : `did you mean ${meant}?`}`,
	);
}

/** As it is kept and compared: no slash at the end. */
export function urlOf(text: string): string {
	const url = parsedUrl(text);
	if (url === null || !/^https?:$/.test(url.protocol)) throw usageError(`"${text}" is no URL: ${withScheme(text)}`);
	if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
		throw usageError("a URL here has a host and a path: no user, password, query or fragment");
	return (url.origin + url.pathname).replace(/\/+$/, "");
}

/** What somebody meant who left the scheme out. */
function withScheme(text: string): string {
	if (!/^(?:[a-z0-9-]+\.)*[a-z0-9-]+(?::\d{1,5})?(?:\/[^\s?#]*)?$/i.test(text)) return "write it as in https://control.example.com";
	const scheme = isInTheClear(`http://${text}`) ? "https" : "http";
	return `did you mean ${scheme}://${text}?`;
}

function parsedUrl(text: string): URL | null {
	try {
		return new URL(text);
	} catch {
		return null;
	}
}

/** Whether a token would go over a network in the clear. */
export function isInTheClear(url: string): boolean {
	const { protocol, hostname } = new URL(url);
	return protocol === "http:" && !/^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\]|.*\.localhost)$/.test(hostname);
}

const nonEmpty = (text: string | undefined): string | undefined => (text === "" ? undefined : text);

function jsonOrUndefined(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
