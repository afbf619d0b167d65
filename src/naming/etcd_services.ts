/**
 * The services of etcd's own API that are used here, with the types of their messages.
 *
 * @module
 */
import { PROTOS } from "../rpc/protos.ts";
import type { Nothing, ServiceType } from "../rpc/services.ts";

const ETCD = PROTOS["etcdserverpb/rpc.proto"];

/** A 64-bit integer in decimal, because etcd's may exceed 2^53; requests may also have a number. */
type Long = string;

/** `etcdserverpb.KeyValue`. */
export interface EtcdKeyValue {
  key: Uint8Array;
  value: Uint8Array;
  modRevision: Long;
  lease: Long;
}

/** `etcdserverpb.RangeRequest`: one key, or the keys from `key` up to but excluding `rangeEnd`. */
export interface EtcdRange {
  key: Uint8Array;
  rangeEnd?: Uint8Array;
  limit?: number;
  revision?: Long;
}

interface EtcdHeader {
  header: { revision: Long };
}

/** `etcdserverpb.RangeResponse`. */
export type EtcdKeys = EtcdHeader & { kvs: EtcdKeyValue[]; more: boolean };

/** `etcdserverpb.Compare`: a condition on one key, or on all keys of a range. */
export interface EtcdCompare {
  key: Uint8Array;
  rangeEnd?: Uint8Array;
  target: "CREATE" | "MOD" | "LEASE";
  createRevision?: Long;
  modRevision?: Long;
  lease?: Long;
}

/** `etcdserverpb.RequestOp`. */
export type EtcdOperation =
  | { requestRange: EtcdRange }
  | { requestPut: { key: Uint8Array; value: Uint8Array; lease: Long } }
  | { requestDeleteRange: { key: Uint8Array } };

/** `etcdserverpb.TxnRequest`: does `success` if all conditions hold, otherwise `failure`. */
export interface EtcdTransaction {
  compare: EtcdCompare[];
  success: EtcdOperation[];
  failure: EtcdOperation[];
}

/** `etcdserverpb.WatchResponse`. */
export interface EtcdWatched extends EtcdHeader {
  created: boolean;
  canceled: boolean;
  compactRevision: Long;
  cancelReason: string;
  events: { type: "PUT" | "DELETE"; kv: EtcdKeyValue }[];
}

/** Keys and values. */
export const ETCD_KV: ServiceType<{
  Range: { request: EtcdRange; response: EtcdKeys };
  Txn: {
    request: EtcdTransaction;
    response: EtcdHeader & { succeeded: boolean; responses: { responseRange?: EtcdKeys }[] };
  };
}> = { name: "etcdserverpb.KV", proto: ETCD, longs: String };

/** Watches. */
export const ETCD_WATCH: ServiceType<{
  Watch: {
    request: {
      createRequest: { key: Uint8Array; rangeEnd?: Uint8Array; startRevision: Long };
    };
    response: EtcdWatched;
    streams: "both";
  };
}> = { name: "etcdserverpb.Watch", proto: ETCD, longs: String };

/** Leases. */
export const ETCD_LEASE: ServiceType<{
  LeaseGrant: { request: { TTL: number; ID: Long }; response: { TTL: Long; ID: Long } };
  LeaseRevoke: { request: { ID: Long }; response: Nothing };
  LeaseKeepAlive: {
    request: { ID: Long };
    response: { TTL: Long; ID: Long };
    streams: "both";
  };
}> = { name: "etcdserverpb.Lease", proto: ETCD, longs: String };

/** Passwords. */
export const ETCD_AUTH: ServiceType<{
  Authenticate: { request: { name: string; password: string }; response: { token: string } };
}> = { name: "etcdserverpb.Auth", proto: ETCD, longs: String };
