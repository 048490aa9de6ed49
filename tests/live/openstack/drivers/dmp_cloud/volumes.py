"""A driver of Cinder whose volumes are sparse files in a folder: no LVM, no device mapper, no iSCSI."""

import os
import shutil

from cinder import exception
from cinder.image import image_utils
from cinder.volume import configuration, driver
from oslo_config import cfg

OPTIONS = [cfg.StrOpt('paper_folder', help='The folder that holds the volumes')]
cfg.CONF.register_opts(OPTIONS, group=configuration.SHARED_CONF_GROUP)
GIB = 1 << 30


class FilesDriver(driver.VolumeDriver):
    VERSION = '1'

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(OPTIONS)

    @staticmethod
    def get_driver_options():
        return OPTIONS

    def check_for_setup_error(self):
        if not os.access(self.configuration.paper_folder, os.W_OK):
            raise exception.VolumeDriverException(message='the folder of the volumes is not writable')

    def path(self, thing):
        return os.path.join(self.configuration.paper_folder, thing.name)

    def resize(self, thing, size):
        with open(self.path(thing), 'ab') as out:
            out.truncate(size * GIB)

    def remove(self, thing):
        if os.path.exists(self.path(thing)):
            os.unlink(self.path(thing))

    def copy(self, source, target):
        # The content of a volume on paper is zeros; what is written of an image is short.
        shutil.copyfile(self.path(source), self.path(target))

    def create_volume(self, volume):
        self.resize(volume, volume.size)

    def delete_volume(self, volume):
        self.remove(volume)

    def extend_volume(self, volume, new_size):
        self.resize(volume, new_size)

    def create_snapshot(self, snapshot):
        self.copy(snapshot.volume, snapshot)

    def delete_snapshot(self, snapshot):
        self.remove(snapshot)

    def create_volume_from_snapshot(self, volume, snapshot):
        self.copy(snapshot, volume)
        self.resize(volume, volume.size)

    def create_cloned_volume(self, volume, source):
        self.copy(source, volume)
        self.resize(volume, volume.size)

    def copy_image_to_volume(self, context, volume, image_service, image_id, disable_sparse=False):
        image_utils.fetch_to_raw(context, image_service, image_id, self.path(volume),
                                 self.configuration.volume_dd_blocksize, size=volume.size)
        self.resize(volume, volume.size)

    def ensure_export(self, context, volume):
        pass

    def create_export(self, context, volume, connector):
        pass

    def remove_export(self, context, volume):
        pass

    def initialize_connection(self, volume, connector, **kwargs):
        return {'driver_volume_type': 'local', 'data': {'device_path': self.path(volume), 'volume_id': volume.id}}

    def terminate_connection(self, volume, connector, **kwargs):
        pass

    def _update_volume_stats(self):
        self._stats = {
            'volume_backend_name': self.configuration.safe_get('volume_backend_name'), 'vendor_name': 'paper',
            'driver_version': self.VERSION, 'storage_protocol': 'local', 'total_capacity_gb': 1000,
            'free_capacity_gb': 900, 'provisioned_capacity_gb': 0, 'max_over_subscription_ratio': 20.0,
            'thin_provisioning_support': True, 'thick_provisioning_support': False, 'multiattach': True,
            'reserved_percentage': 0, 'QoS_support': False,
        }
