"""A remote executor for tests: it writes down the command that a job would run elsewhere, and calls the job failed."""

import os

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=0,
)


class Executor(RemoteExecutor):
    def run_job(self, job):
        with open(os.environ["RECORDED"], "a", encoding="utf-8") as file:
            print(self.format_job_exec(job), file=file)
            print(f"# gpu={job.resources.get('gpu')} mem_mb={job.resources.get('mem_mb')}", file=file)
            print(f"# nodes={job.resources.get('nodes')} threads={job.threads}", file=file)
        self.report_job_submission(SubmittedJobInfo(job))

    async def check_active_jobs(self, active_jobs):
        for info in active_jobs:
            self.report_job_error(info)
        return
        yield  # an asynchronous generator of the jobs that still run: none

    def cancel_jobs(self, active_jobs):
        pass
