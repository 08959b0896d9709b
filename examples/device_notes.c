/* An application on a device: enrols once, writes a note with SQLite, syncs, says what came of it.
     example_device_notes FILE SERVER CODE          the first time
     example_device_notes FILE "TEXT OF A NOTE"     from then on */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include <verbund/device.h>

static int failed(verbund_error *error) {
  const int code = error->exit_code;
  fprintf(stderr, "%s: %s\n", error->code, error->message);
  if (error->hint[0] != '\0') fprintf(stderr, "hint: %s\n", error->hint);
  verbund_error_free(error);
  return code;
}

static void show_progress(const char *subscription, uint64_t rows, void *context) {
  (void)context;
  printf("%s: %llu rows\n", subscription, (unsigned long long)rows);
}

static void show_reject(const verbund_reject *reject, void *context) {
  (void)context;
  printf("rejected: %s %s, %s\n", reject->table, reject->key, reject->reason);
}

/* Any SQLite program may write: the file's triggers note what changes. */
static int write_note(const char *file, const char *text) {
  sqlite3 *database = NULL;
  sqlite3_stmt *insert = NULL;
  int result = sqlite3_open_v2(file, &database, SQLITE_OPEN_READWRITE, NULL);
  if (result == SQLITE_OK) result = sqlite3_busy_timeout(database, 5000);
  if (result == SQLITE_OK) result = sqlite3_prepare_v2(database, "INSERT INTO note (id, text) SELECT coalesce(max(id), 0) + 1, ? FROM note", -1, &insert, NULL);
  if (result == SQLITE_OK) result = sqlite3_bind_text(insert, 1, text, -1, SQLITE_STATIC);
  if (result == SQLITE_OK) result = sqlite3_step(insert);
  if (result != SQLITE_DONE) fprintf(stderr, "SQLite: %s\n", sqlite3_errmsg(database));
  sqlite3_finalize(insert);
  sqlite3_close(database);
  return result == SQLITE_DONE ? 0 : 20;
}

static int sync_now(verbund_device *device) {
  verbund_error *error = NULL;
  verbund_sync_report report;
  verbund_device_on_progress(device, show_progress, NULL);
  verbund_device_on_reject(device, show_reject, NULL);
  if (verbund_device_sync(device, NULL, &report, &error) != VERBUND_SYNC_SUCCEEDED) return failed(error);
  printf("sent %llu, applied %llu, rejected %llu, came %llu\n", (unsigned long long)report.sent, (unsigned long long)report.applied, (unsigned long long)report.rejected,
         (unsigned long long)report.upserted);
  return 0;
}

int main(int argc, char **argv) {
  verbund_error *error = NULL;
  verbund_device *device = NULL;
  int result = 0;
  if (argc != 3 && argc != 4) {
    fprintf(stderr, "usage: %s FILE SERVER CODE | FILE TEXT\n", argv[0]);
    return 2;
  }
  device = argc == 4 ? verbund_device_enrol(argv[1], argv[2], argv[3], "notes in C", &error) : verbund_device_open(argv[1], &error);
  if (device == NULL) return failed(error);
  if (argc == 3) result = write_note(argv[1], argv[2]);
  if (result == 0) result = sync_now(device);
  verbund_device_close(device);
  return result;
}
