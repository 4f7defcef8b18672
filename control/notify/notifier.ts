import type { Outcome } from "../../core/notify/settle";
import type { Message } from "./message";

export interface Recipient {
	readonly url: string;
	/** Those that sign now. */
	readonly secrets: readonly string[];
}

/** How events leave. */
export interface Notifier {
	/** Why nothing may be sent there; undefined: it may. */
	refusal(url: string): string | undefined;
	/** One request, `now` in real time. Every failure is an outcome. */
	send(to: Recipient, message: Message, now: number): Promise<Outcome>;
}
