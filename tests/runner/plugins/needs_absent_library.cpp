/// A plugin whose library is not there at run time.

extern "C" int muster_something_else();

extern "C" __attribute__((visibility("default"))) int muster_workload() { return muster_something_else(); }
