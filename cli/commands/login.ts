import { caller } from "../answers";
import type { Answer, Call, Command } from "../command";
import { controlAt } from "../controlApi";
import { usageError } from "../exit";
import { configFile, edgeOf, isInTheClear, keepProfile, profileName, noProfile, readProfiles, urlOf } from "../profiles";
import { printCaller } from "./token";

export const login: Command = {
	name: "login",
	takes: "<url>",
	about: "Keeps control's URL and an API token for this user",
	options: ["edge", "dry-run"],
	examples: [
		"tidegate login https://control.example.com",
		"tidegate login https://control-staging.example.com --profile staging --edge https://edge-staging.example.com",
		"tidegate login http://localhost:8788 < token.txt",
	],
	notes:
		"The token is TIDEGATE_TOKEN, or asked for, or read from stdin where that is no terminal: never an argument, which other users of the machine could see.\nIt is tried before it is kept, in $XDG_CONFIG_HOME/tidegate/config.json, for you alone (0600).",
	async run(call) {
		const [given = ""] = call.args;
		const { env, interrupted } = call.world;
		const url = urlOf(given);
		const name = profileName(call.options, env);
		const edge = edgeGiven(call) ?? readProfiles(env)[name]?.edge;
		const path = configFile(env);
		const told = { profile: name, url, ...(edge === undefined ? {} : { edge }), file: path };
		if (isInTheClear(url)) call.note(`warning: ${url} is not https, so the token can be read on its way`);
		if (call.options["dry-run"])
			return { json: { dryRun: true, ...told }, text: `nothing was sent or written; ${url} would be kept as profile ${name} in ${path}` };
		const token = await tokenOf(call);
		const who = await controlAt({ url, token, interrupted }).get("/me", caller);
		keepProfile(env, name, { url, token, ...(edge === undefined ? {} : { edge }) });
		return {
			json: { ...told, caller: who },
			text: `logged in to ${url} as ${who.name} (${printCaller(who)}): kept as profile ${name} in ${path}`,
		};
	},
};

export const logout: Command = {
	name: "logout",
	takes: "",
	about: "Takes a profile with its token off this machine; the token itself stays valid",
	options: ["dry-run"],
	examples: ["tidegate logout", "tidegate logout --profile staging"],
	async run({ options, world: { env } }): Promise<Answer> {
		const name = profileName(options, env);
		const isThere = Object.hasOwn(readProfiles(env), name);
		if (!isThere && options.profile !== undefined) throw noProfile(name, env);
		const isDone = isThere && !options["dry-run"];
		if (isDone) keepProfile(env, name, undefined);
		const said = isDone ? `profile ${name} is gone` : isThere ? `profile ${name} would be taken away` : `there is no profile ${name}`;
		return { json: { profile: name, removed: isDone }, text: said };
	},
};

function edgeGiven({ options, world: { env } }: Call): string | undefined {
	return options.edge === undefined ? undefined : edgeOf({ edge: options.edge, profile: undefined }, env);
}

async function tokenOf({ world: { env, stdin, ask } }: Call): Promise<string> {
	const named = env["TIDEGATE_TOKEN"] ?? "";
	const token = (named !== "" ? named : stdin.isTTY ? await ask("API token: ", true) : await stdin.text()).trim();
	if (/^[\x21-\x7e]{1,1000}$/.test(token)) return token;
	throw usageError(
		token === ""
			? "no token was given: set TIDEGATE_TOKEN, or send it to stdin"
			: "that is no token: it has 1 to 1,000 visible ASCII characters and no blanks",
	);
}
