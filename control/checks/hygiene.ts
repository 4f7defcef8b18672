import type { CheckOf } from "../../core/checks/model";
import { parseInstant } from "../../core/flags/instant";
import { type StoredFlag, findFlags } from "../store/flags";
import { type CheckContext, type CheckDeps, type Finding, failed, passed } from "./finding";

const ALL = { owner: true, description: true, expired: true };
const NAMED_MAX = 5;

export async function lookAtHygiene(
	{ hygiene }: CheckOf<"hygiene">,
	{ db }: CheckDeps,
	{ environment, flags }: CheckContext,
	now: number,
): Promise<Finding> {
	if (flags.length === 0) return failed("no flag is named");
	const wanted = hygiene === true ? ALL : hygiene;
	const found = await findFlags(db, environment, flags);
	const wrong = flags.flatMap((key) => faultsOf(found.get(key), wanted, now).map((fault) => `${key} ${fault}`));
	if (wrong.length === 0) return passed(flags.length === 1 ? "the flag is as it should be" : `${flags.length} flags are as they should be`);
	const more = wrong.length > NAMED_MAX ? [`and ${wrong.length - NAMED_MAX} more`] : [];
	return failed([...wrong.slice(0, NAMED_MAX), ...more].join("; "));
}

function faultsOf(flag: StoredFlag | "damaged" | undefined, wanted: typeof ALL, now: number): string[] {
	if (flag === undefined) return ["is not there"];
	if (flag === "damaged") return ["cannot be read"];
	const expiry = flag.expiresAt === null ? undefined : parseInstant(flag.expiresAt);
	return [
		...(flag.enabled ? [] : ["is killed"]),
		...(wanted.owner && flag.owner === "" ? ["has no owner"] : []),
		...(wanted.description && flag.description === "" ? ["has no description"] : []),
		...(wanted.expired && expiry !== undefined && expiry <= now ? ["has expired"] : []),
	];
}
