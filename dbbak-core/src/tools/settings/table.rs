//! The table of settings: every system variable of MySQL 8.0 to 9.7, Percona Server 8.0 to 8.4 and MariaDB 10.6 to 12, and what a
//! private server does with it.

use super::Fate;

/// Some settings that share a fate.
pub(super) struct Group {
    /// What is done with them.
    pub(super) fate: Fate,
    /// Their names, separated by white space. A star at the end stands for every name that begins so.
    pub(super) names: &'static str,
}

/// A setting that the private server takes over from the source: name, and what depends on it.
pub(super) type Carried = (&'static str, &'static str);

/// Settings that the files of a data directory depend on.
pub(super) const FORMAT: &[Carried] = &[
    ("aria_block_size", "the block size of Aria's files"),
    ("innodb_data_file_path", "the files of the system tablespace"),
    ("innodb_page_size", "the page size of all tablespaces"),
    ("innodb_undo_tablespaces", "undo tablespaces (not handed to MySQL 8, which counts them itself)"),
    ("lower_case_table_names", "how names are stored and compared"),
];

/// Settings that decide what a statement in a log does where the log does not say it itself.
pub(super) const STATEMENTS: &[Carried] = &[
    ("automatic_sp_privileges", "whether CREATE PROCEDURE grants its creator the right to run it"),
    ("avoid_temporal_upgrade", "whether ALTER TABLE turns old DATETIME columns into new ones"),
    ("binlog_direct_non_transactional_updates", "which transaction a change of a MyISAM table is logged with"),
    ("binlog_format", "only recorded: the private server logs MIXED"),
    ("block_encryption_mode", "AES_ENCRYPT, AES_DECRYPT"),
    ("character_set_collations", "the collation of a character set that is named alone"),
    ("character_set_filesystem", "file names in LOAD DATA"),
    ("character_set_server", "CREATE DATABASE"),
    ("collation_server", "CREATE DATABASE"),
    ("concurrent_insert", "where a row of a MyISAM table is put"),
    ("cte_max_recursion_depth", "WITH RECURSIVE"),
    ("default_regex_flags", "REGEXP, also in generated columns and constraints"),
    ("default_storage_engine", "CREATE TABLE without ENGINE"),
    ("default_tmp_storage_engine", "CREATE TEMPORARY TABLE without ENGINE"),
    ("default_week_format", "WEEK"),
    ("disabled_storage_engines", "CREATE TABLE with an ENGINE that is replaced"),
    ("div_precision_increment", "the scale of a quotient"),
    ("enable_cascade_triggers", "whether triggers run for rows that a foreign key changes"),
    ("enforce_gtid_consistency", "which statements are allowed"),
    ("enforce_storage_engine", "CREATE TABLE with another ENGINE"),
    ("explicit_defaults_for_timestamp", "TIMESTAMP columns without DEFAULT"),
    ("ft_max_word_len", "FULLTEXT indexes of MyISAM and Aria"),
    ("ft_min_word_len", "FULLTEXT indexes of MyISAM and Aria"),
    ("ft_query_extra_word_chars", "FULLTEXT searches (Percona Server)"),
    ("group_concat_max_len", "the length at which GROUP_CONCAT and JSON_ARRAYAGG cut"),
    ("gtid_mode", "whether transactions have GTIDs"),
    ("innodb_autoinc_lock_mode", "AUTO_INCREMENT values of a logged INSERT of many rows"),
    ("innodb_checksum_algorithm", "checksums of pages"),
    ("innodb_compression_default", "whether a new table is PAGE_COMPRESSED"),
    ("innodb_compression_level", "the level that a new compressed table records"),
    ("innodb_default_row_format", "CREATE TABLE without ROW_FORMAT"),
    ("innodb_file_per_table", "whether a new table has a tablespace of its own"),
    ("innodb_ft_enable_stopword", "FULLTEXT indexes of InnoDB"),
    ("innodb_ft_max_token_size", "FULLTEXT indexes of InnoDB"),
    ("innodb_ft_min_token_size", "FULLTEXT indexes of InnoDB"),
    ("innodb_ft_server_stopword_table", "FULLTEXT indexes of InnoDB"),
    ("innodb_ft_user_stopword_table", "FULLTEXT indexes of InnoDB"),
    (
        "innodb_native_foreign_keys",
        "whether InnoDB or the server changes the rows of a cascade, and so whether they are logged",
    ),
    ("innodb_read_only_compressed", "whether tables with ROW_FORMAT=COMPRESSED can be written"),
    ("innodb_strict_mode", "whether CREATE TABLE and ALTER TABLE refuse options that do not fit"),
    ("max_heap_table_size", "how many rows a MEMORY table takes"),
    ("max_points_in_geometry", "ST_Buffer and the like"),
    ("max_recursive_iterations", "WITH RECURSIVE"),
    ("max_sort_length", "how much of a value ORDER BY, GROUP BY and DISTINCT compare"),
    ("max_sp_recursion_depth", "procedures that call themselves"),
    ("mhnsw_default_distance", "VECTOR indexes without DISTANCE"),
    ("mhnsw_default_m", "VECTOR indexes without M"),
    ("myisam_data_pointer_size", "how large a new MyISAM table can grow"),
    ("mysql56_temporal_format", "how new TIME, DATETIME and TIMESTAMP columns are stored"),
    ("new", "behaviour that a later version changes (MySQL 8.0)"),
    ("new_mode", "behaviour that a later version changes"),
    ("ngram_token_size", "FULLTEXT indexes with the ngram parser"),
    ("old", "behaviour of old versions"),
    ("old_mode", "behaviour of old versions; in MariaDB whether utf8 means utf8mb3"),
    ("partial_revokes", "whether REVOKE on a database restricts a global right"),
    ("regexp_stack_limit", "REGEXP of a large expression"),
    ("regexp_time_limit", "REGEXP of a large expression"),
    ("restrict_fk_on_non_standard_key", "FOREIGN KEY on a key that is not unique"),
    ("sql_generate_invisible_primary_key", "CREATE TABLE without a primary key"),
    ("sql_if_exists", "whether IF EXISTS is implied"),
    (
        "sysdate_is_now",
        "whether SYSDATE is the time of the statement (an option without a variable: dbbak asks what it does)",
    ),
    ("system_versioning_alter_history", "ALTER TABLE of a table with system versioning"),
    ("system_versioning_asof", "what a logged statement reads of a table with system versioning"),
    ("thread_stack", "how deep an expression can be"),
    ("windowing_use_high_precision", "window functions"),
];

/// Settings that mean something where they are empty.
pub(super) const EMPTY_MEANS_SOMETHING: &[&str] = &["old_mode"];

/// Settings that decide what the server writes encrypted, taken over where the private server has the keys. Never the logs of
/// transactions: the scratch log is to be read.
pub(super) const ENCRYPTION: &[Carried] = &[
    ("aria_encrypt_tables", "Aria's tables"),
    ("default_table_encryption", "CREATE DATABASE and CREATE TABLESPACE without ENCRYPTION"),
    ("encrypt_tmp_disk_tables", "temporary tables"),
    ("encrypt_tmp_files", "temporary files"),
    ("innodb_default_encryption_key_id", "CREATE TABLE without ENCRYPTION_KEY_ID"),
    ("innodb_encrypt_log", "the redo log"),
    ("innodb_encrypt_tables", "InnoDB's tables"),
    ("innodb_encrypt_temporary_tables", "InnoDB's temporary tables"),
    ("innodb_redo_log_encrypt", "the redo log"),
    ("innodb_undo_log_encrypt", "undo tablespaces"),
];

/// Settings that are not taken over, and which matter if they have another value than these: name, harmless values, what they change.
pub(super) const TOLD: &[(&str, &[&str], &str)] = &[
    ("binlog_do_db", &[], "changes of all other databases are in no log, and a replay does not have them"),
    ("binlog_ignore_db", &[], "changes of these databases are in no log, and a replay does not have them"),
    (
        "binlog_row_image",
        &["FULL", "FULL_NODUP"],
        "rows are logged in part: columns that a REPLACE resets to their defaults are in no log, and keep their old values",
    ),
    (
        "ft_stopword_file",
        &["(built-in)", "built-in"],
        "the words that FULLTEXT indexes of MyISAM and Aria leave out come from a file",
    ),
    (
        "password_reuse_check_interval",
        &[],
        "what password_reuse_check remembers of passwords is in no log: those that are set in the window are not in mysql.password_reuse_check_history",
    ),
    ("innodb_locks_unsafe_for_binlog", &["OFF", "0"], "logged statements may have been executed in another order"),
    (
        "log_replica_updates",
        &["ON", "1"],
        "what a replica applies is in no log of its own, and a replay does not have it",
    ),
    (
        "log_slave_updates",
        &["ON", "1"],
        "what a replica applies is in no log of its own, and a replay does not have it",
    ),
    ("old_passwords", &["OFF", "0"], "a logged CREATE USER or PASSWORD() makes an old hash"),
];

/// All that is not taken over.
pub(super) const REST: &[Group] = &[
    Group { fate: Fate::Zone, names: "system_time_zone time_zone" },
    Group {
        fate: Fate::Logged,
        names: "auto_increment_increment auto_increment_offset autocommit character_set_client character_set_connection \
            character_set_database character_set_results check_constraint_checks collation_connection collation_database \
            default_collation_for_utf8mb4 error_count external_user foreign_key_checks gtid_domain_id gtid_next gtid_seq_no identity \
            immediate_server_version in_transaction insert_id last_gtid last_insert_id lc_time_names original_commit_timestamp \
            original_server_version proxy_user pseudo_replica_mode pseudo_slave_mode pseudo_thread_id rand_seed1 rand_seed2 \
            rbr_exec_mode require_row_format resultset_metadata skip_parallel_replication skip_replication sql_auto_is_null sql_log_bin sql_mode \
            statement_id system_versioning_insert_history timestamp transaction_allow_batching unique_checks use_secondary_engine \
            warning_count debug debug_sync session_track_*",
    },
    Group {
        fate: Fate::Own,
        names: "basedir binlog_alter_two_phase binlog_checksum binlog_encryption binlog_error_action \
            binlog_row_event_max_size binlog_row_metadata binlog_row_value_options \
            binlog_rows_query_log_events binlog_annotate_row_events binlog_storage_engine binlog_directory binlog_transaction_compression \
            binlog_transaction_compression_level_zstd create_tmp_table_binlog_formats datadir encrypt_binlog event_scheduler \
            gtid_strict_mode init_connect init_file init_replica init_slave innodb_buffer_pool_dump_at_shutdown \
            innodb_buffer_pool_load_at_startup innodb_data_home_dir innodb_directories innodb_doublewrite_dir \
            innodb_flush_log_at_trx_commit innodb_log_group_home_dir innodb_redo_log_archive_dirs innodb_temp_tablespaces_dir \
            innodb_tmpdir innodb_undo_directory log_bin log_bin_basename log_bin_compress log_bin_compress_min_len log_bin_index \
            log_bin_trust_function_creators log_bin_use_v1_row_events max_allowed_packet \
            max_binlog_size aria_log_dir_path offline_mode persisted_globals_load pid_file port read_only relay_log relay_log_basename \
            relay_log_index relay_log_info_file relay_log_purge relay_log_recovery relay_log_space_limit \
            secure_file_priv local_infile server_id server_uuid server_uid server_id_bits skip_grant_tables skip_name_resolve \
            skip_networking slave_load_tmpdir replica_load_tmpdir socket super_read_only innodb_read_only sync_binlog tmpdir \
            transaction_read_only tx_read_only secure_timestamp completion_type transaction_isolation tx_isolation",
    },
    Group {
        fate: Fate::Stricter,
        names: "alter_algorithm innodb_force_primary_key lock_wait_timeout innodb_lock_wait_timeout innodb_rollback_on_timeout \
            innodb_snapshot_isolation idle_readonly_transaction_timeout idle_transaction_timeout idle_write_transaction_timeout \
            max_execution_time max_statement_time max_join_size sql_big_selects sql_require_primary_key sql_safe_updates \
            sql_select_limit updatable_views_with_limit table_encryption_privilege_check require_secure_transport \
            max_tmp_session_space_usage max_tmp_total_space_usage max_session_mem_used connection_memory_limit \
            global_connection_memory_limit parser_max_mem_size max_error_count log_disabled_statements deadlock_* allow_suspicious_udfs \
            plugin_maturity innodb_deadlock_detect innodb_deadlock_report innodb_table_locks csv_mode",
    },
    Group {
        fate: Fate::Accounts,
        names: "activate_all_roles_on_login activate_mandatory_roles authentication_* caching_sha2_password_* check_proxy_users connect_timeout \
            default_authentication_plugin default_password_lifetime disconnect_on_expired_password \
            generated_random_password_length init_server mandatory_roles max_password_errors max_user_connections \
            mysql_native_password_proxy_users password_history password_require_current password_reuse_* \
            persist_only_admin_x509_subject persist_sensitive_variables_in_plaintext print_identified_with_as_hex secure_auth sha256_password_* \
            skip_show_database strict_password_validation validate_password* validate_user_plugins connection_control_* \
            simple_password_check_* cracklib_password_check_* log_builtin_as_identified_by_password utility_user*",
    },
    Group {
        fate: Fate::Memory,
        names: "aria_pagecache_* aria_sort_buffer_size aria_max_sort_file_size aria_repair_threads big_tables binlog_cache_size \
            binlog_file_cache_size binlog_stmt_cache_size bulk_insert_buffer_size connection_memory_chunk_size \
            connection_memory_status_limit global_connection_memory_* histogram_generation_max_mem_size host_cache_size \
            internal_tmp_disk_storage_engine internal_tmp_mem_storage_engine innodb_adaptive_hash_index* innodb_additional_mem_pool_size \
            innodb_buf_* innodb_buffer_pool_* innodb_ddl_buffer_size innodb_ft_cache_size innodb_ft_result_cache_limit \
            innodb_ft_total_cache_size innodb_ft_sort_pll_degree innodb_log_buffer_size innodb_sort_buffer_size \
            innodb_online_alter_log_max_size innodb_open_files join_buffer_size join_buffer_space_limit key_buffer_size key_cache_* \
            large_page_size large_pages locked_in_memory max_binlog_cache_size max_binlog_stmt_cache_size max_digest_length \
            max_prepared_stmt_count max_rowid_filter_size metadata_locks_* mhnsw_max_cache_size mrr_buffer_size \
            myisam_max_sort_file_size myisam_mmap_size myisam_repair_threads myisam_sort_buffer_size myisam_use_mmap \
            net_buffer_length open_files_limit preload_buffer_size query_alloc_block_size query_cache_* query_prealloc_size \
            range_alloc_block_size read_buffer_size read_rnd_buffer_size rowid_merge_buff_size schema_definition_cache \
            select_into_* server_memory set_operations_buffer_size sort_buffer_size stored_program_cache stored_program_definition_cache \
            sql_buffer_result table_definition_cache table_open_cache* table_cache tablespace_definition_cache temptable_* thread_cache_size \
            tmp_disk_table_size tmp_memory_table_size tmp_table_size transaction_alloc_block_size transaction_prealloc_size \
            aria_used_for_temp_tables innodb_temp_data_file_path container_aware innodb_dedicated_server max_tmp_tables \
            innodb_parallel_doublewrite_path jemalloc_* kill_idle_transaction expand_fast_index_creation",
    },
    Group {
        fate: Fate::Plan,
        names: "analyze_max_length analyze_sample_percentage eq_range_index_dive_limit expensive_subquery_limit explain_format \
            explain_json_format_version end_markers_in_json ft_boolean_syntax ft_query_expansion_limit histogram_size histogram_type \
            in_predicate_conversion_threshold information_schema_stats_expiry innodb_stats_* innodb_prefix_index_cluster_optimization \
            innodb_records_in_range innodb_force_index_records_in_range join_cache_level max_length_for_sort_data max_seeks_for_key \
            mhnsw_ef_search myisam_stats_method aria_stats_method optimizer_* range_optimizer_max_mem_size secondary_engine_cost_threshold \
            use_stat_tables standard_compliant_cte note_verbosity sql_notes sql_warnings sql_quote_show_create show_* \
            enable_secondary_engine_statistics external_table_* sql_log_off progress_report_time multi_range_count date_format datetime_format time_format \
            keep_files_on_create low_priority_updates lc_messages lc_messages_dir language path",
    },
    Group {
        fate: Fate::Storage,
        names: "aria_checkpoint_* aria_force_start_after_recovery_failures aria_group_commit* aria_log_file_size aria_log_purge_type \
            aria_page_checksum aria_recover_options aria_sync_log_dir column_compression_* delay_key_write flush flush_time \
            ignore_builtin_innodb ignore_db_dirs innodb_adaptive_flushing* innodb_adaptive_max_sleep_delay innodb_alter_copy_bulk \
            innodb_api_* innodb_autoextend_increment innodb_change_buffer* innodb_checksums innodb_cleaner_* innodb_cmp_per_index_enabled \
            innodb_commit_concurrency innodb_compressed_columns_* innodb_compression_algorithm innodb_compression_failure_threshold_pct innodb_compression_pad_pct_max \
            innodb_concurrency_tickets innodb_data_file_buffering innodb_data_file_write_through innodb_ddl_threads innodb_defragment* \
            innodb_disable_sort_file_cache innodb_disallow_writes innodb_doublewrite innodb_doublewrite_* innodb_empty_free_list_algorithm innodb_encryption_* innodb_extend_and_initialize \
            innodb_evict_tables_on_commit_debug innodb_fast_shutdown innodb_fatal_semaphore_wait_threshold innodb_file_format* innodb_fill_factor innodb_flush_log_at_timeout \
            innodb_flush_method innodb_flush_neighbors innodb_flush_sync innodb_flushing_avg_loops innodb_force_load_corrupted \
            innodb_force_recovery innodb_fsync_threshold innodb_ft_aux_table innodb_ft_enable_diag_print innodb_ft_num_word_optimize \
            innodb_ft_ignore_stopwords innodb_idle_flush_pct innodb_immediate_scrub_data_uncompressed innodb_background_scrub_* innodb_scrub_* innodb_index_shrink \
            innodb_instant_alter_column_allowed innodb_io_capacity* innodb_kill_idle_transaction innodb_large_prefix innodb_linux_aio innodb_lock_schedule_algorithm \
            innodb_log_archive* innodb_log_recovery* innodb_log_checkpoint_* innodb_log_checksums innodb_log_compressed_pages innodb_log_file_* innodb_log_files_in_group \
            innodb_log_optimize_ddl innodb_log_spin_* innodb_log_wait_* innodb_log_write_ahead_size innodb_log_writer_threads \
            innodb_lru_* innodb_max_bitmap_* innodb_max_changed_pages innodb_max_dirty_* innodb_max_purge_* innodb_max_undo_log_size innodb_monitor_* innodb_mtflush_threads \
            innodb_numa_interleave innodb_old_blocks_* innodb_optimize_fulltext_only innodb_page_cleaners \
            innodb_parallel_* innodb_print_* innodb_priority_* innodb_purge_* innodb_random_read_ahead innodb_read_ahead_threshold innodb_read_io_threads \
            innodb_redo_log_capacity innodb_rollback_segments innodb_replication_delay innodb_sched_priority_* innodb_scan_directories \
            innodb_segment_reserve_factor innodb_show_locks_held innodb_simulate_comp_failures innodb_spin_* innodb_status_output* innodb_support_xa innodb_sync_* innodb_sys_tablespace_encrypt \
            innodb_temp_tablespace_encrypt innodb_thread_* innodb_track_* innodb_truncate_temporary_tablespace_now innodb_undo_log_truncate innodb_undo_logs innodb_use_* \
            innodb_validate_tablespace_paths innodb_version innodb_write_io_threads innodb_zlib_* innodb_binlog_* myisam_block_size \
            myisam_recover_options sync_frm innodb_page_hash_locks innodb_evict_* innodb_trx_* innodb_uncompress_* innodb_corrupt_table_action \
            innodb_buffer_page* innodb_aio_*",
    },
    Group {
        fate: Fate::Replication,
        names: "binlog_cache_dir binlog_commit_wait_* binlog_ddl_skip_rewrite binlog_expire_logs_* binlog_group_commit_* \
            binlog_gtid_index* binlog_gtid_simple_recovery binlog_large_commit_threshold binlog_legacy_event_pos binlog_max_flush_queue_time \
            binlog_optimize_thread_scheduling binlog_order_commits binlog_rotate_encryption_master_key_at_startup binlog_skip_flush_commands \
            binlog_space_limit binlog_transaction_dependency_* binlogging_impossible_mode default_master_connection expire_logs_days group_replication_* \
            gtid_binlog_pos gtid_binlog_state gtid_cleanup_batch_size gtid_current_pos gtid_executed* gtid_ignore_duplicates gtid_owned \
            gtid_pos_auto_engines gtid_purged gtid_slave_pos have_snapshot_cloning log_statements_unsafe_for_binlog master_info_file master_info_repository \
            master_verify_checksum max_binlog_total_size max_relay_log_size read_binlog_speed_limit relay_log_info_repository relayed_binlog_* \
            replica_* replicate_* replication_* report_* rpl_* simplified_binlog_gtid_recovery skip_replica_start skip_slave_start slave_* \
            source_verify_checksum sporadic_binlog_dump_fail sql_replica_skip_counter sql_slave_skip_counter sync_master_info \
            sync_relay_log sync_relay_log_info sync_source_info terminology_use_previous transaction_write_set_extraction wsrep_* xa_detach_on_prepare \
            redirect_url init_rpl_role",
    },
    Group {
        fate: Fate::Network,
        names: "admin_* back_log bind_address create_admin_listener_thread extra_max_connections extra_port \
            interactive_timeout max_connect_errors max_connections mysqlx_* named_pipe* net_read_timeout net_retry_count \
            net_write_timeout protocol_compression_algorithms protocol_version proxy_protocol_networks skip_external_locking \
            ssl_* tcp_* thread_handling thread_pool_* threadpool_* tls_* wait_timeout auto_generate_certs shared_memory* \
            delayed_* max_delayed_threads max_insert_delayed_threads max_write_lock_count slow_launch_time \
            max_open_cursors debug_no_thread_alarm",
    },
    Group {
        fate: Fate::Diagnosis,
        names: "core_file general_log* log_error* log_output log_queries_not_using_indexes log_raw log_slow_* log_syslog* \
            log_tc_size log_throttle_queries_not_using_indexes log_timestamps log_warnings long_query_time max_slowlog_* \
            min_examined_row_limit performance_schema* profiling profiling_history_size slow_query_log* stored_routines_* \
            thread_statistics userstat old_alter_table dragnet.* syseventlog.* buffered_error_log_* secure_log_path lock_order* \
            log_statements_* telemetry.* percona_telemetry_* query_response_time_* server_audit_* audit_log* feedback_*",
    },
    Group {
        fate: Fate::Fact,
        names: "active_plugins build_id character_set_system character_sets_dir have_* hostname installed_components installed_plugins large_files_support license loadable_functions lower_case_file_system plugin_dir replication_channels \
            version version_*",
    },
    Group {
        fate: Fate::Plugin,
        names: "aws_key_management_* clone_* columnstore_* connect_* daemon_memcached_* data_masking* ddl_rewriter* disks_* \
            early_plugin_load enterprise_encryption.* file_key_management_* gssapi_* handlersocket_* \
            hashicorp_key_management_* keyring_* mecab_* mroonga_* mysql_firewall_* ndb_* ndbinfo_* oqgraph_* option_tracker* pam_* \
            provider_* rewriter_* rocksdb_* s3_* sphinx_* spider_* storage_engine tokudb_* version_tokens_* \
            null_audit_* test_sql_* masking_functions.* component_* js_* vault_* zstd_* mle.* thread_group_*",
    },
];
