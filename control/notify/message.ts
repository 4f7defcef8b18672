import type { Json } from "../store/audit";

export interface Message {
	/** The same however often it is sent: receivers tell by it what they have had. */
	readonly id: string;
	readonly body: string;
}

/** A row of the outbox. */
export interface StoredEvent {
	readonly id: number;
	readonly atMs: number;
	readonly type: string;
	readonly payload: Json;
}

/** The same bytes whenever it is made. */
export function messageOf(event: StoredEvent): Message {
	return { id: messageId(event), body: bodyOf(event.type, event.atMs, event.payload) };
}

export function bodyOf(type: string, atMs: number, data: Json): string {
	return JSON.stringify({ type, timestamp: new Date(atMs).toISOString(), data });
}

/** With its time, so that the ids of two instances, or of a restored database, differ. */
export const messageId = ({ id, atMs }: Pick<StoredEvent, "id" | "atMs">): string => `evt_${atMs.toString(36)}_${id}`;

/** The event's number in the outbox; undefined: the text is no message's id. */
export function eventIn(id: string): number | undefined {
	const number = /^evt_[0-9a-z]+_(\d{1,15})$/.exec(id)?.[1];
	return number === undefined ? undefined : Number(number);
}
